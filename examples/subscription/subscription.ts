import { fromJson, toJson } from '@bufbuild/protobuf';
import { type Struct, StructSchema } from '@bufbuild/protobuf/wkt';
import type { Decider, Rejection } from '../../src/eventstore/index.ts';
import { command, type Process, type StandardEffect } from '../../src/processes/engine/index.ts';

// A subscription that renews itself: each period is charged to an account, by a timer; without money it ends. Events are
// `Struct`s, so that the example needs no proto of its own; a service has a message for each.

type SubscriptionFact =
  | { readonly kind: 'begun'; readonly account: string; readonly priceMinor: number }
  | { readonly kind: 'renewed'; readonly until: number }
  | { readonly kind: 'ended'; readonly why: 'cancelled' | 'unpaid' };

/** A period of a subscription, as an account pays for it. */
interface Period {
  readonly subscription: string;
  readonly until: number;
  readonly amountMinor: number;
}
type AccountFact =
  | { readonly kind: 'deposited'; readonly amountMinor: number }
  | ({ readonly kind: 'charged' | 'refunded' } & Period);

const say = (fact: SubscriptionFact | AccountFact): Struct => fromJson(StructSchema, { ...fact });
const factIn = <Fact>(event: Struct): Fact => toJson(StructSchema, event) as Fact;
const refuse = (code: string, message: string): Rejection => ({ code, message });

/** What is known of a subscription; `paidUntil` in milliseconds since the Unix epoch, 0 before the first period. */
export interface Subscription {
  readonly status: 'absent' | 'active' | 'cancelled' | 'unpaid';
  readonly account: string;
  readonly priceMinor: number;
  readonly paidUntil: number;
}

type SubscriptionCommand =
  | { readonly type: 'begin'; readonly account: string; readonly priceMinor: number }
  | { readonly type: 'renew'; readonly until: number }
  | { readonly type: 'end'; readonly why: 'cancelled' | 'unpaid' };

export const subscription: Decider<Subscription, SubscriptionCommand, Struct, Rejection> = {
  category: 'subscription',
  events: [StructSchema],
  initial: { status: 'absent', account: '', priceMinor: 0, paidUntil: 0 },
  evolve: (state, event) => {
    const fact = factIn<SubscriptionFact>(event);
    if (fact.kind === 'begun') {
      const { account, priceMinor } = fact;
      return { status: 'active', account, priceMinor, paidUntil: 0 };
    }
    return fact.kind === 'renewed' ? { ...state, paidUntil: fact.until } : { ...state, status: fact.why };
  },
  decide: (command, { status, paidUntil }) => {
    if (command.type === 'begin') {
      const { account, priceMinor } = command;
      return status === 'absent' ? [say({ kind: 'begun', account, priceMinor })] : [];
    }
    if (status === 'absent') return refuse('subscription/unknown', 'There is no such subscription.');
    if (command.type === 'end') return status === 'active' ? [say({ kind: 'ended', why: command.why })] : [];
    if (status !== 'active') return refuse('subscription/ended', 'The subscription has ended.');
    return command.until > paidUntil ? [say({ kind: 'renewed', until: command.until })] : [];
  },
};

type AccountCommand =
  | { readonly type: 'deposit'; readonly amountMinor: number }
  | ({ readonly type: 'charge' | 'refund' } & Period);

/** Prepaid money, in minor units. */
export const account: Decider<number, AccountCommand, Struct, Rejection> = {
  category: 'account',
  events: [StructSchema],
  initial: 0,
  evolve: (balance, event) => {
    const { kind, amountMinor } = factIn<AccountFact>(event);
    return kind === 'charged' ? balance - amountMinor : balance + amountMinor;
  },
  decide: ({ type, ...what }, balance) => {
    if (!('until' in what)) return [say({ kind: 'deposited', ...what })];
    if (type === 'refund') return [say({ kind: 'refunded', ...what })];
    if (balance < what.amountMinor) return refuse('account/too-little', 'There is not enough money.');
    return [say({ kind: 'charged', ...what })];
  },
};

/** The kind of the timer of the next period. */
export const RENEWAL = 'renewal';

/** Charges a period; who cannot pay for it is subscribed no longer. */
function charge(id: string, { account: payer, priceMinor }: Subscription, until: number): StandardEffect {
  const period = { type: 'charge', subscription: id, until, amountMinor: priceMinor } as const;
  const ended = command(subscription, id, { type: 'end', why: 'unpaid' }, `unpaid-${until}`);
  return command(account, payer, period, `charge-${until}`, ended);
}

/** Takes a subscription from period to period; its state is the subscription itself. @param periodMs for example a month */
export function renewalEvery(periodMs: number): Process<Struct, Subscription> {
  return {
    name: 'renewal',
    sources: [subscription, account],
    from: 'beginning',
    state: subscription,
    route: (event, { category, id }) => {
      const fact = factIn<SubscriptionFact | AccountFact>(event);
      if (category === account.category)
        return fact.kind === 'charged' ? { as: 'continue', id: fact.subscription } : undefined;
      if (fact.kind === 'begun') return { as: 'start', id };
      return { as: fact.kind === 'ended' ? 'end' : 'continue', id };
    },
    react: (event, state, { id, time }) => {
      const fact = factIn<SubscriptionFact | AccountFact>(event);
      switch (fact.kind) {
        case 'begun':
          return [charge(id, state, time + periodMs)];
        case 'charged': {
          const { kind: _, ...period } = fact;
          // Who has cancelled while the period was charged gets the money back.
          const refund = command(account, state.account, { type: 'refund', ...period }, 'refund');
          return [command(subscription, id, { type: 'renew', until: fact.until }, 'renew', refund)];
        }
        case 'renewed':
          return state.status === 'active' ? [{ type: 'arm', timer: RENEWAL, at: fact.until }] : [];
        default:
          return [];
      }
    },
    timers: {
      [RENEWAL]: (state, { id }) =>
        state.status === 'active' ? [charge(id, state, state.paidUntil + periodMs)] : [],
    },
  };
}
