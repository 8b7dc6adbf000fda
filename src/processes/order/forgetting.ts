import { email } from '../../domain/email.ts';
import { isRegistered, type UserEvent, user } from '../../domain/user.ts';
import type { Position, Runtime } from '../../eventstore/index.ts';
import { type Reaction, type ReactionContext, RetryLater, type Timers } from '../engine/index.ts';
import type { AskToErase, OpenOrders } from './ports.ts';
import type { ReactionDefinition, TimerDefinition } from './reactions.ts';

/** The kind of the timer that forgets a person, or looks whether it was erased. */
export const FORGETTING = 'forgetting';

/** From when a person was forgotten until somebody looks whether its key is destroyed, in milliseconds. */
const ERASED_WITHIN_MS = 60_000;
/** So many orders are named to operators. */
const MOST_NAMED = 10;

/** A person who is to be forgotten has orders that have not ended; for an operator if that lasts. */
export class OrdersOpen extends RetryLater {
  constructor(userId: string, orders: readonly string[]) {
    super(`The person ${userId} is forgotten once these orders have ended: ${orders.join(', ')}.`);
  }
}

/** Somebody else is at it: the user was changed meanwhile, or the key is not destroyed yet, which is the role api's. */
export class NotForgottenYet extends RetryLater {
  constructor(userId: string) {
    super(`The person ${userId} is not forgotten everywhere yet; a process with the role api has to run.`);
  }
}

/** The entry of the service's list. */
export const forgetting: ReactionDefinition = {
  name: 'forgetting',
  sources: [user],
  from: 'beginning',
  does: 'waits for the open orders of a person who is to be forgotten, frees the address, has the key destroyed',
  create: createForgetting,
};

interface ForgettingDeps {
  readonly runtime: Pick<Runtime, 'now'>;
  readonly openOrders: Pick<OpenOrders, 'ofUser'>;
  readonly timers: Pick<Timers, 'arm'>;
  readonly askToErase: AskToErase;
}

/** Sees persons who are to be forgotten through to their end (protocol 37). */
export function createForgetting(deps: ForgettingDeps): Reaction<UserEvent> {
  const { runtime, openOrders, timers, askToErase } = deps;

  /** Who is deactivated has none after that: those before it are in the list, and later ones are refused (protocol 12). */
  async function waitForOrders(userId: string, position: Position): Promise<void> {
    const open: string[] = [];
    for await (const id of openOrders.ofUser(userId, position)) if (open.push(id) === MOST_NAMED) break;
    if (open.length > 0) throw new OrdersOpen(userId, open);
  }

  async function begin(userId: string, position: Position, { handler }: ReactionContext): Promise<void> {
    const { state } = await handler.load(user, userId);
    if (!isRegistered(state) || state.forgetting === undefined) return;
    await waitForOrders(userId, position);
    await timers.arm({ kind: FORGETTING, id: userId, at: state.forgetting.dueAt });
  }

  return {
    name: forgetting.name,
    sources: forgetting.sources,
    from: forgetting.from,
    handle: async ({ events, position, stream }, context) => {
      const { id: userId } = stream;
      for (const consumed of events) {
        const { event } = consumed;
        if (event.$typeName === 'jetledger.user.v1.ForgettingRequested')
          await begin(userId, position, context);
        if (event.$typeName !== 'jetledger.user.v1.UserForgotten') continue;
        // From the event on the attempts are dead: whoever wants an address has it. This tidies up, and bars late claims.
        for (const { emailId, attempt } of event.claims) {
          const release = { type: 'release', userId, attempt, at: runtime.now() } as const;
          await context.causedBy(consumed).execute(email, emailId, release, 'forgotten');
        }
        await askToErase(userId);
        await timers.arm({ kind: FORGETTING, id: userId, at: Number(event.forgottenAt) + ERASED_WITHIN_MS });
      }
    },
  };
}

/** The entry of the service's list. */
export const forgettingTimer: TimerDefinition = {
  kind: FORGETTING,
  category: user.category,
  create: ({ forgetWhenDue, askToErase, runtime }) => {
    return async ({ id, at }) => {
      // That it fired is proof that the time has come; this process's own clock may be behind.
      const stands = await forgetWhenDue(id, Math.max(at, runtime.now()));
      if (stands === 'settled') return;
      if (stands === 'not-erased') await askToErase(id);
      throw new NotForgottenYet(id);
    };
  },
};
