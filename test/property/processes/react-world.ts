import type { Message } from '@bufbuild/protobuf';
import {
  type OrderCommand,
  type OrderEvent,
  type OrderState,
  type OrderStep,
  order,
} from '../../../src/domain/order.ts';
import { type ProductCommand, product } from '../../../src/domain/product.ts';
import { reservedFor } from '../../../src/domain/reservations.ts';
import type { Decider, Rejection } from '../../../src/eventstore/index.ts';
import { effectsOf, type StandardEffect } from '../../../src/processes/engine/process.ts';
import { type OrderEffect, orderFlow } from '../../../src/processes/order/react.ts';
import {
  authorising,
  cancelling,
  capturing,
  creating,
  heldMinor,
  keptMinor,
  type LedgerEntry,
  type Rule,
  refunding,
  settled,
} from '../../../src/processes/payment/adapters/ledger.ts';

/** What a customer wants of the shop. */
export interface PlannedOrder {
  readonly customer: 'active' | 'unknown';
  readonly token: string;
  readonly quantities: readonly number[];
  /** The release before has told it that its customer is fit, and nothing else: that was a commit of its own. */
  readonly begunBefore: boolean;
}

export const SKUS = ['TEA', 'CUP'];
const PRICE = 100n;
const AT = 1_900_000_000_000;
const DUE_MS = 900_000;

/** The work on one event, one step towards the world at a time; others may go on between any two. */
export interface Work {
  /** True when it has ended, and then whether everything succeeded. */
  advance(): 'going' | 'done' | 'failed';
}

/** What a customer, the shop or a deadline asks of an order. */
export type Asked = 'cancel' | 'ship' | 'expire' | 'refund' | 'write-off';

/** A shop without time, network and storage: deciders, the provider's rules, and the process. */
export interface ReactWorld {
  events(id: string): readonly OrderEvent[];
  ask(id: string, what: Asked): void;
  /** Begins to handle an event of an order, for whatever reason: for the first time or the fifth. */
  handle(id: string, index: number): Work;
  passTime(ms: number): void;
  /** The payment tokens of the orders that still wait for something. */
  waiting(): readonly string[];
  /** Everything that must not be once all has come to rest. */
  wrong(): readonly string[];
}

/** What the process does because of an event. */
export function react(event: OrderEvent, state: OrderState): readonly (OrderEffect | StandardEffect)[] {
  const stream = { category: 'order', id: 'o1' };
  const route = orderFlow.route(event, stream);
  return route === undefined ? [] : effectsOf(orderFlow, route, event, state, { id: stream.id, time: AT });
}

/** `decides`: `react`, or a broken one. */
export function createReactWorld(
  planned: readonly PlannedOrder[],
  stock: number,
  decides: typeof react = react,
): ReactWorld {
  let now = AT;
  const history = new Map<string, OrderEvent[]>();
  const shelves = new Map(SKUS.map((sku) => [sku, product.initial]));
  const ledger = new Map<string, LedgerEntry>();
  const stateOf = (id: string): OrderState =>
    (history.get(id) ?? []).reduce((state, event) => order.evolve(state, event), order.initial);

  const tell = (id: string, command: OrderCommand): boolean => {
    const outcome = order.decide(command, stateOf(id));
    if (isRejection(outcome)) return false;
    history.set(id, [...(history.get(id) ?? []), ...outcome]);
    return true;
  };
  const stockOf = (sku: string, command: ProductCommand): boolean => {
    const state = shelves.get(sku) ?? product.initial;
    const outcome = product.decide(command, state);
    if (isRejection(outcome)) return false;
    shelves.set(sku, fold(product, state, outcome));
    return true;
  };
  const call = <Answer>(key: string, rule: Rule<Answer>): Answer => {
    const ruling = rule(ledger.get(key), now);
    ledger.set(key, ruling.entry);
    return ruling.answer;
  };
  const reject = (id: string, step: OrderStep, code: string): boolean =>
    tell(id, { type: 'reject', step, code, reason: 'It did not work.', at: now });

  /** What an effect does, in the order in which it does it. @returns whether it succeeded */
  function* perform(id: string, effect: OrderEffect | StandardEffect): Generator<void, boolean> {
    switch (effect.type) {
      case 'validate-customer':
        if (effect.userId === 'unknown') return reject(id, 'customer_validation', 'customer/unknown');
        return yield* reserve(id, effect.next, validated());
      case 'reserve-stock':
        return yield* reserve(id, effect);
      case 'authorise-payment':
        return yield* authorise(id, effect);
      case 'capture-payment':
        return yield* capture(id);
      case 'return-payment':
        return yield* giveBack(id);
      case 'refund-payment':
        return yield* refund(id);
      case 'return-stock':
        for (const { sku, quantity } of effect.items) {
          stockOf(sku, { type: 'returnStock', orderId: id, quantity, at: now });
          yield;
        }
        return tell(id, { type: 'recordStockReleased', at: now });
      case 'release-stock':
      case 'write-off-stock':
      case 'ship-stock': {
        const type = effect.type === 'release-stock' ? 'releaseStock' : 'shipStock';
        for (const { sku } of effect.items) {
          stockOf(sku, { type, orderId: id, at: now });
          yield;
        }
        return effect.type === 'ship-stock' || tell(id, { type: 'recordStockReleased', at: now });
      }
      case 'arm':
      case 'disarm':
      case 'command':
      case 'notify':
        return true;
    }
  }

  const validated = (): OrderCommand => ({ type: 'recordCustomerValidated', directoryPosition: 1, at: now });

  /** @param before told in the same commit, before what comes of it */
  function* reserve(
    id: string,
    { items }: Extract<OrderEffect, { type: 'reserve-stock' }>,
    ...before: readonly OrderCommand[]
  ): Generator<void, boolean> {
    for (const { sku, quantity } of items) {
      const isReserved = stockOf(sku, { type: 'reserveStock', orderId: id, quantity, at: now });
      yield;
      if (isReserved) continue;
      for (const command of before) tell(id, command);
      return reject(id, 'inventory', 'inventory/insufficient-stock');
    }
    for (const command of before) tell(id, command);
    return tell(id, { type: 'recordStockReserved', at: now });
  }

  function* authorise(
    id: string,
    { amountMinor, currency, token }: Extract<OrderEffect, { type: 'authorise-payment' }>,
  ): Generator<void, boolean> {
    call(id, creating({ key: id, amountMinor, currency, token }));
    yield;
    const answer = call(id, authorising(id, 50));
    yield;
    switch (answer.outcome) {
      case 'authorised':
        return tell(id, {
          type: 'recordAuthorised',
          paymentId: answer.paymentId,
          amountMinor,
          currency,
          at: now,
        });
      case 'declined':
      case 'cancelled':
        return reject(id, 'payment', 'payment/declined');
      default:
        return false;
    }
  }

  function* capture(id: string): Generator<void, boolean> {
    const answer = call(id, capturing(id));
    yield;
    if (answer.outcome !== 'captured') return reject(id, 'payment', 'payment/declined');
    return tell(id, { ...answer, type: 'recordCaptured', at: now });
  }

  function* giveBack(id: string): Generator<void, boolean> {
    const cancelled = call(id, cancelling(id));
    yield;
    if (cancelled.outcome === 'cancelled')
      return tell(id, { type: 'recordPaymentCancelled', paymentId: cancelled.paymentId, at: now });
    return yield* refund(id);
  }

  function* refund(id: string): Generator<void, boolean> {
    const refunded = call(id, refunding(id));
    yield;
    return tell(id, { ...refunded, type: 'recordPaymentRefunded', at: now });
  }

  function* handling(id: string, event: OrderEvent): Generator<void, boolean> {
    let succeeded = true;
    // As the process does: every effect is tried, also after one that failed.
    for (const effect of decides(event, stateOf(id))) succeeded = (yield* perform(id, effect)) && succeeded;
    return succeeded;
  }

  for (const sku of SKUS) {
    stockOf(sku, { type: 'list', sku, name: sku, priceMinor: PRICE, currency: 'EUR', at: now });
    stockOf(sku, { type: 'receiveStock', receiptId: 'r1', quantity: stock, at: now });
  }
  for (const [index, { customer, token, quantities, begunBefore }] of planned.entries()) {
    const lines = quantities.map((quantity, line) => {
      const sku = SKUS[line] ?? '';
      return { sku, name: sku, quantity, unitPriceMinor: PRICE, currency: 'EUR' };
    });
    const payment = { paymentToken: token, paymentDueAt: AT + DUE_MS };
    tell(`o${index}`, { type: 'place', orderId: `o${index}`, userId: customer, lines, ...payment, at: now });
    if (begunBefore) tell(`o${index}`, validated());
  }

  const wrongOf = (id: string): string[] => {
    const state = stateOf(id);
    if (state.status === 'absent' || state.status === 'placed') return [`${id} is stuck`];
    const ended = state.status === 'rejected' || state.status === 'cancelled' || state.status === 'refunded';
    const entry = ledger.get(id);
    const [kept, held] = entry === undefined ? [0n, 0n] : moneyOf(settled(entry, Number.MAX_SAFE_INTEGER));
    const reserved = SKUS.map((sku) => reservedIn(sku, id));
    const wanted = SKUS.map((sku) =>
      state.status === 'confirmed' ? (state.items.find((item) => item.sku === sku)?.quantity ?? 0) : 0,
    );
    return [
      ...(kept === (ended ? 0n : state.totalMinor) ? [] : [`${id} is ${state.status}, ${kept} are kept`]),
      ...(held === 0n ? [] : [`${id} is ${state.status}, ${held} are held`]),
      ...(reserved.join() === wanted.join() ? [] : [`${id} is ${state.status}, ${reserved} are reserved`]),
    ];
  };
  const wrongStockOf = (sku: string): string[] => {
    const gone = planned.reduce((sum, _, index) => sum + takenBy(stateOf(`o${index}`), sku), 0);
    const shelf = shelves.get(sku);
    const onHand = shelf === undefined || shelf.status === 'absent' ? 0 : Number(shelf.onHand);
    return onHand === stock - gone ? [] : [`${onHand} of ${sku} are on hand and ${stock - gone} should be`];
  };
  const reservedIn = (sku: string, id: string): number => {
    const shelf = shelves.get(sku);
    return shelf === undefined || shelf.status === 'absent'
      ? 0
      : Number(reservedFor(shelf.reservations, id) ?? 0n);
  };

  return {
    events: (id) => history.get(id) ?? [],
    ask: (id, what) => {
      // Refusals are the customer's business.
      const type = what === 'write-off' ? 'refund' : what;
      const more = { reason: 'Changed my mind', by: 'customer', tracking: '' } as const;
      const at = type === 'expire' ? Math.max(now, AT + DUE_MS) : now;
      tell(id, { ...more, restock: what === 'refund', type, at });
    },
    handle: (id, index) => {
      const event = history.get(id)?.[index];
      const work = event === undefined ? undefined : handling(id, event);
      return {
        advance: () => {
          const next = work?.next();
          if (next === undefined || next.done !== true) return next === undefined ? 'done' : 'going';
          return next.value ? 'done' : 'failed';
        },
      };
    },
    passTime: (ms) => {
      now += ms;
    },
    waiting: () =>
      planned.flatMap(({ token }, index) => (stateOf(`o${index}`).status === 'placed' ? [token] : [])),
    wrong: () => [...planned.flatMap((_, index) => wrongOf(`o${index}`)), ...SKUS.flatMap(wrongStockOf)],
  };
}

/** How many pieces of a product an order took for good. */
function takenBy(state: OrderState, sku: string): number {
  const isGone =
    state.status === 'shipped' ||
    state.status === 'delivered' ||
    (state.status === 'refunded' && !state.restock);
  return isGone ? (state.items.find((item) => item.sku === sku)?.quantity ?? 0) : 0;
}

const moneyOf = (entry: LedgerEntry): [bigint, bigint] => [keptMinor(entry), heldMinor(entry)];

function isRejection(outcome: readonly Message[] | Rejection): outcome is Rejection {
  return 'code' in outcome;
}

function fold<S, C, E extends Message, R extends Rejection>(
  { evolve }: Decider<S, C, E, R>,
  state: S,
  events: readonly E[],
): S {
  return events.reduce(evolve, state);
}
