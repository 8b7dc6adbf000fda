import type { PaymentInDoubt, TimersAdmin, UnderWay, WaitingHere } from '../../api/operators/ports.ts';
import { order } from '../../domain/order.ts';
import {
  type CommandHandler,
  isAfter,
  type Log,
  numberOf,
  type Position,
  type Runtime,
  type StreamRef,
  timeOf,
  versionAt,
} from '../../eventstore/index.ts';
import type { DeadLetterPort, TimerList } from '../../processes/engine/index.ts';
import { orderProcess } from '../../processes/order/order-process.ts';
import { PAYMENT_STEPS } from '../../processes/order/react.ts';
import type { TimerDefinition } from '../../processes/order/reactions.ts';
import type { OpenWork } from '../consumers-admin.ts';

export interface WaitingDeps {
  readonly timers: TimerList;
  readonly kinds: readonly Pick<TimerDefinition, 'kind' | 'category'>[];
  /** What consumers have read and not done. */
  readonly work: () => Promise<readonly OpenWork[]>;
  readonly parked: Pick<DeadLetterPort, 'list'>;
  readonly log: Pick<Log, 'at' | 'read'>;
  readonly handler: Pick<CommandHandler, 'load'>;
  readonly runtime: Pick<Runtime, 'now'>;
}

/** So many timers are looked at; above that the soonest may be another one. */
const LOOKED_AT = 2_000;
/** What takes longer is in doubt, in milliseconds. */
const DOUBTFUL_MS = 10_000;
/** More payments in doubt are not told: the oldest are. */
const MOST_PAYMENTS = 100;

/** What time or a payment provider is waited for: timers, payments in doubt, and what one aggregate waits for. */
export function createWaiting(deps: WaitingDeps): {
  readonly timers: TimersAdmin;
  readonly paymentsInDoubt: () => Promise<readonly PaymentInDoubt[]>;
  readonly waitsOf: (stream: StreamRef) => Promise<WaitingHere>;
} {
  const { timers, kinds, work, log } = deps;
  const categoryOf = new Map(kinds.map(({ kind, category }) => [kind, category]));
  const withCategory = <T extends { readonly kind: string }>(timer: T) => ({
    ...timer,
    category: categoryOf.get(timer.kind),
  });
  const held = (all: readonly OpenWork[]) =>
    all.flatMap((one) => one.timers.map(({ kind, id, at }) => ({ kind, id, at, state: 'held' as const })));
  return {
    timers: async () => {
      const [{ items, total }, all] = await Promise.all([timers.first(LOOKED_AT), work()]);
      const found = [...held(all), ...items].sort((a, b) => a.at - b.at);
      return {
        items: found.map(withCategory),
        total: total + found.length - items.length,
        complete: total <= items.length,
      };
    },
    paymentsInDoubt: () => paymentsInDoubt(deps),
    waitsOf: async (stream) => {
      const [armed, all] = await Promise.all([timers.of(stream.id), work()]);
      const own = [...held(all).filter(({ id }) => id === stream.id), ...armed].map(withCategory);
      return {
        timers: own.filter(({ category }) => category === stream.category),
        underWay: await underWayOf(log, stream, all),
      };
    },
  };
}

/** Which commits of an aggregate consumers have read and not done. */
async function underWayOf(
  log: WaitingDeps['log'],
  stream: StreamRef,
  all: readonly OpenWork[],
): Promise<readonly UnderWay[]> {
  const open = all.flatMap((one) => one.open.map((position) => ({ consumer: one.consumer, position })));
  if (open.length === 0) return [];
  const times = new Map<Position, number>();
  const lowest = Math.min(...open.map(({ position }) => numberOf(position)));
  for (let after = lowest - 1, more = true; more; ) {
    const page = await log.read(stream, { after, confirm: true });
    for (const commit of page.commits) times.set(commit.position, timeOf(commit));
    const last = page.commits.at(-1);
    more = page.more && last !== undefined;
    if (last !== undefined) after = versionAt(last.position);
  }
  return open.flatMap(({ consumer, position }) => {
    const since = times.get(position);
    return since === undefined ? [] : [{ consumer, position: numberOf(position), since }];
  });
}

interface Tried extends Pick<PaymentInDoubt, 'id' | 'since' | 'parked' | 'error'> {
  readonly position: Position;
  readonly events: readonly { readonly type: string }[];
}

/** Payments of which nothing is known for longer than it takes: what the order process tries again, or could not do. */
async function paymentsInDoubt(deps: WaitingDeps): Promise<readonly PaymentInDoubt[]> {
  const { runtime } = deps;
  const found: PaymentInDoubt[] = [];
  for (const { events, position, ...one } of await triedOf(deps)) {
    const steps = events.map(({ type }) => PAYMENT_STEPS.get(type.slice(type.lastIndexOf('.') + 1)));
    const step = steps.findLast((known) => known !== undefined);
    const isLate = one.parked || runtime.now() - one.since > DOUBTFUL_MS;
    if (step === undefined || !isLate || (step === 'return' && !(await owesPayment(deps, one.id)))) continue;
    found.push({ ...one, step, position: numberOf(position) });
  }
  return found.sort((a, b) => a.since - b.since);
}

/** What the order process is at, and what it could not do; the oldest of each. */
async function triedOf({ work, log, parked }: WaitingDeps): Promise<readonly Tried[]> {
  const [all, letters] = await Promise.all([work(), parked.list({ consumer: orderProcess.name })]);
  const open = all.filter(({ consumer }) => consumer === orderProcess.name).flatMap((one) => one.open);
  const oldest = open.sort((a, b) => (isAfter(a, b) ? 1 : -1)).slice(0, MOST_PAYMENTS);
  const commits = await Promise.all(oldest.map((position) => log.at(position)));
  const tried = commits.flatMap((commit): Tried[] => {
    if (commit === undefined) return [];
    const events = commit.decisions.flatMap((decision) => decision.events);
    const { stream, position } = commit;
    return [{ id: stream.id, position, events, since: timeOf(commit), parked: false }];
  });
  const given = letters.filter(({ behind }) => !behind).slice(0, MOST_PAYMENTS);
  return [
    ...tried,
    ...given.map(({ id, position, events, firstAt, error }) => ({
      ...{ id, position, events, since: firstAt, parked: true },
      ...(error && { error: error.message }),
    })),
  ];
}

/** Whether an order that has ended may have a payment to be given back. */
async function owesPayment({ handler }: WaitingDeps, id: string): Promise<boolean> {
  const { state } = await handler.load(order, id);
  return state.status !== 'absent' && state.paymentTouched && !state.paymentReturned;
}
