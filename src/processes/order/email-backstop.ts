import { type EmailEvent, email } from '../../domain/email.ts';
import { type Reaction, RetryLater, type Timer, type Timers } from '../engine/index.ts';
import type { AbandonStaleClaim } from './ports.ts';
import type { ReactionDefinition, TimerDefinition } from './reactions.ts';

/** The kind of the timer that looks at a claim of an address again. */
export const EMAIL_CLAIM = 'email-claim';

/** Past the moment at which a claim is stale by anybody's clock, in milliseconds. */
const MARGIN_MS = 5_000;

/** A claim that is not old enough yet; trying again is right. */
export class ClaimPending extends RetryLater {
  constructor(emailId: string) {
    super(`The claim of the address ${emailId} may still be completed.`);
  }
}

/** The entry of the service's list. */
export const emailBackstop: ReactionDefinition = {
  name: 'email-backstop',
  sources: [email],
  from: 'beginning',
  does: 'has every claim of an address looked at again once it could be stale',
  create: createEmailBackstop,
};

/** Sees to it that every claim of an address is looked at again once it could be stale (protocol 4). */
export function createEmailBackstop(deps: {
  readonly timers: Pick<Timers, 'arm'>;
  /** As the use cases have it, in milliseconds. */
  readonly staleClaimMs: number;
}): Reaction<EmailEvent> {
  const { timers, staleClaimMs } = deps;
  return {
    name: emailBackstop.name,
    sources: emailBackstop.sources,
    from: emailBackstop.from,
    handle: async ({ events, stream }) => {
      for (const { event } of events) {
        if (event.$typeName !== 'jetledger.email.v1.EmailClaimed') continue;
        const at = Number(event.claimedAt) + staleClaimMs + MARGIN_MS;
        await timers.arm({ kind: EMAIL_CLAIM, id: stream.id, at });
      }
    },
  };
}

/** The entry of the service's list. */
export const emailClaimTimeout: TimerDefinition = {
  kind: EMAIL_CLAIM,
  category: email.category,
  create: ({ abandonStaleClaim }) => createClaimTimeout(abandonStaleClaim),
};

/** Handles a claim's timer that has fired. @throws ClaimPending when it must be called again later */
export function createClaimTimeout(abandonStaleClaim: AbandonStaleClaim) {
  return async function lookAgain({ id }: Timer): Promise<void> {
    if ((await abandonStaleClaim(id)) === 'pending') throw new ClaimPending(id);
  };
}
