import type { Message } from '@bufbuild/protobuf';
import { order } from '../../../src/domain/order.ts';
import {
  type ProductCommand,
  type ProductEvent,
  type ProductState,
  product,
} from '../../../src/domain/product.ts';
import { noReservations, reservedFor } from '../../../src/domain/reservations.ts';
import { emptyBook } from '../../../src/domain/stock-book.ts';
import type { CommandHandler } from '../../../src/eventstore/command.ts';
import type { Decider, Rejection } from '../../../src/eventstore/index.ts';
import type { Runtime } from '../../../src/eventstore/runtime.ts';
import type { Cause } from '../../../src/processes/engine/cause.ts';
import type { Reaction } from '../../../src/processes/engine/reaction.ts';
import type { Timers } from '../../../src/processes/engine/timers/timers.ts';
import {
  type AroundStep,
  type EffectContext,
  reportingBy,
} from '../../../src/processes/order/effect-context.ts';
import { executeStep } from '../../../src/processes/order/order-process.ts';
import type { Item, OrderEffect } from '../../../src/processes/order/react.ts';
import type { PaymentProvider } from '../../../src/processes/payment/port.ts';
import { DEADLINE_MS } from './shop-scenario.ts';
import type { ShopViews } from './shop-views.ts';

type Product = typeof product;

/** How a world differs from the product: nothing, one of two redundant fences left out, or a planted fault. */
export interface Plant {
  readonly product?: Product;
  /** Default true. */
  readonly stockWatch?: boolean;
  /** How old the watch's knowledge of an order may be, in milliseconds; default 0. */
  readonly watchMaxAgeMs?: number;
  /** Default true. */
  readonly cancelIsFinal?: boolean;
  /** Whether a commit is fresh at every try; default false: at the first. */
  readonly alwaysFresh?: boolean;
  readonly aroundStep?: AroundStep;
  readonly payments?: (honest: PaymentProvider) => PaymentProvider;
  readonly views?: (honest: ShopViews) => ShopViews;
  readonly timers?: (honest: ShopTimers, runtime: Runtime) => ShopTimers;
  /** Default true. */
  readonly sweep?: boolean;
}

type ShopTimers = Pick<Timers, 'arm' | 'disarm'>;

/** Forgets every ended reservation at once: what the bounded memory of a busy product comes to. */
const forgetful: Product = { ...product, evolve: (state, event) => forget(product.evolve(state, event)) };

function forget(state: ProductState): ProductState {
  if (state.status === 'absent') return state;
  return { ...state, reservations: { ...noReservations, open: state.reservations.open } };
}

/** A release of what is not there leaves no trace. */
const withoutBars: Product = { ...product, decide: decideWithoutBars };

function decideWithoutBars(command: ProductCommand, state: ProductState): ReturnType<Product['decide']> {
  const nothingThere =
    command.type === 'releaseStock' &&
    state.status !== 'absent' &&
    reservedFor(state.reservations, command.orderId) === undefined;
  return nothingThere ? [] : product.decide(command, state);
}

/** Keeps the last piece of everything back from orders. */
const miserly: Product = { ...product, decide: decideMiserly };

function decideMiserly(command: ProductCommand, state: ProductState): ReturnType<Product['decide']> {
  if (command.type !== 'reserveStock' || state.status === 'absent') return product.decide(command, state);
  return product.decide(command, { ...state, onHand: state.onHand > 0n ? state.onHand - 1n : 0n });
}

/** Takes the goods of an order back as often as it is told. */
const gullible: Product = {
  ...product,
  evolve: (state, event) => forgetReturns(product.evolve(state, event)),
};

function forgetReturns(state: ProductState): ProductState {
  return state.status === 'absent'
    ? state
    : { ...state, book: { ...state.book, returns: emptyBook.returns } };
}

/** Has goods taken back under a new key each time, as when a product has forgotten the command among its later ones. */
const forgottenCommands: AroundStep = (effect, context, run) => {
  if (effect.type !== 'return-stock') return run(context);
  const { cause, deps } = context;
  const anew: Cause = {
    ...cause,
    execute: (decider, id, command, key) =>
      cause.execute(decider, id, command, `${key}/${deps.runtime.id()}`),
  };
  return run({ ...context, cause: anew });
};

/** Takes the refund of an order for done once the provider was asked. */
const askingOnce: AroundStep = (effect, context, run) =>
  effect.type === 'refund-payment' ? run(context).catch(() => undefined) : run(context);

/** Puts the goods of a refunded order back whatever the refund says. */
const alwaysRestocking: AroundStep = (effect, context, run) =>
  effect.type === 'write-off-stock'
    ? executeStep({ ...effect, type: 'release-stock' }, context)
    : run(context);

/** Reserves in the order in which the customer wrote the lines. */
const lineAfterLine: AroundStep = async (effect, context, run) => {
  if (effect.type !== 'reserve-stock') return run(context);
  return executeStep({ ...effect, items: await linesOf(context) }, context);
};

/** Takes what there is of each product before it looks at the next. */
const withoutLooking: AroundStep = (effect, context, run) =>
  effect.type === 'reserve-stock' ? takeOneByOne(effect, context) : run(context);

/** Both, as it was before. */
const careless: AroundStep = async (effect, context, run) =>
  effect.type === 'reserve-stock'
    ? takeOneByOne({ ...effect, items: await linesOf(context) }, context)
    : run(context);

async function linesOf({ handler, id }: EffectContext): Promise<readonly Item[]> {
  const { state } = await handler.load(order, id);
  return state.status === 'absent' ? [] : state.items;
}

async function takeOneByOne(
  effect: Extract<OrderEffect, { type: 'reserve-stock' }>,
  context: EffectContext,
): Promise<void> {
  let rejected = false;
  const report = async () => undefined;
  const reject: typeof context.reject = (...why) => {
    rejected = true;
    return context.reject(...why);
  };
  for (const item of effect.items) {
    await executeStep({ ...effect, items: [item] }, { ...context, report, reject });
    if (rejected) return;
  }
  await context.report('reserve-stock', { type: 'recordStockReserved' });
}

/** Captures as soon as the provider has authorised, and tells the order of both. */
const capturingAtOnce: AroundStep = async (effect, context, run) => {
  if (effect.type !== 'authorise-payment') return run(context);
  let authorised: Parameters<EffectContext['report']> | undefined;
  const report: EffectContext['report'] = async (...told) => {
    authorised = told;
  };
  await run({ ...context, report });
  if (authorised === undefined) return;
  const [purpose, command] = authorised;
  const both: EffectContext['report'] = async (...captured) => {
    await Promise.all([context.report(purpose, command, { together: true }), context.report(...captured)]);
  };
  await executeStep({ type: 'capture-payment' }, reportingBy(context, both));
};

/** Each alone must keep every rule. */
export const sound: Readonly<Record<string, Plant>> = {
  'with both fences of a reservation': {},
  'with barred orders and without the watch': { stockWatch: false },
  'with the watch and products that forget who was barred': { product: forgetful },
  'with products that forget by which command goods came back': { aroundStep: forgottenCommands },
};

/** Each must be found, by what it does wrong (protocols 10 to 13). */
export const faulty: Readonly<Record<string, { readonly plant: Plant; readonly finding: RegExp }>> = {
  'a release of nothing that bars nobody, without the watch': {
    plant: { product: withoutBars, stockWatch: false },
    finding: /(rejected|cancelled) and \d+ of \w+ are reserved for it/,
  },
  'forgotten bars without the watch': {
    plant: { product: forgetful, stockWatch: false },
    finding: /(rejected|cancelled) and \d+ of \w+ are reserved for it/,
  },
  'products that are reserved in the order of the lines': {
    plant: { aroundStep: lineAfterLine },
    finding: /nobody got the stock/,
  },
  'products that are reserved in the order of the lines, without looking at all of them first': {
    plant: { aroundStep: careless },
    finding: /nobody got the stock/,
  },
  'an order that takes what there is though it cannot get the rest': {
    plant: { aroundStep: withoutLooking },
    finding: /nobody got the stock/,
  },
  'a product that keeps its last piece back': {
    plant: { product: miserly },
    finding: /was rejected for stock though there was enough of every product/,
  },
  'a cancellation that is not final at the provider': {
    plant: { cancelIsFinal: false },
    finding: /(rejected|cancelled) and the provider still holds its money/,
  },
  'a product that forgets whose goods came back': {
    plant: { product: gullible, aroundStep: forgottenCommands },
    finding: /are on hand and \d+ should be/,
  },
  'a refund that is asked for once': {
    plant: { aroundStep: askingOnce },
    finding: /is refunded and the provider kept [1-9]/,
  },
  'a refund that puts back what is gone': {
    plant: { aroundStep: alwaysRestocking },
    finding: /are on hand and \d+ should be/,
  },
  'late captures that are not refunded': {
    plant: { payments: keepingLateCaptures },
    finding: /(rejected|cancelled) and the provider kept [1-9]/,
  },
  'a confirmation before the capture': {
    plant: { payments: confirmingFirst },
    finding: /(confirmed|shipped) and the provider kept 0/,
  },
  'a directory of customers that nobody waits for': {
    plant: { views: (honest) => ({ ...honest, customer: (userId) => honest.customer(userId) }) },
    finding: /rejected as unknown though its customer had registered/,
  },
  'a list of open orders that nobody waits for': {
    plant: {
      views: (honest) => ({
        ...honest,
        ordersOfUser: (userId, { minPosition: _, ...page }) => honest.ordersOfUser(userId, page),
      }),
    },
    finding: /is open though its customer was deactivated/,
  },
  'a deadline that is counted from the delivery': {
    plant: { timers: countingFromNow },
    finding: /expired \d+ ms after its payment was due/,
  },
  'a watch that believes what it knows of an order, where products forget': {
    plant: { product: forgetful, watchMaxAgeMs: Number.POSITIVE_INFINITY },
    finding: /(rejected|cancelled) and \d+ of \w+ are reserved for it/,
  },
  'a payment that is tried again and again on the commit that was delivered': {
    plant: { alwaysFresh: true },
    finding: /failed and its stock was not released/,
  },
  'a capture before the authorisation is stored': {
    plant: { aroundStep: capturingAtOnce },
    finding: /was captured and its authorisation never stored/,
  },
  'timers that are lost and never swept': {
    plant: { sweep: false },
    finding: /is stuck at payment/,
  },
};

function countingFromNow(honest: ShopTimers, runtime: Runtime): ShopTimers {
  return { ...honest, arm: (timer) => honest.arm({ ...timer, at: runtime.now() + DEADLINE_MS }) };
}

function keepingLateCaptures(honest: PaymentProvider): PaymentProvider {
  return {
    ...honest,
    cancel: async (key) => {
      const result = await honest.cancel(key);
      return result.outcome === 'captured' ? { outcome: 'cancelled', paymentId: '' } : result;
    },
  };
}

function confirmingFirst(honest: PaymentProvider): PaymentProvider {
  const amounts = new Map<string, { amountMinor: bigint; currency: string }>();
  return {
    ...honest,
    createIntent: (intent) => {
      amounts.set(intent.key, { amountMinor: intent.amountMinor, currency: intent.currency });
      return honest.createIntent(intent);
    },
    capture: async (key) => {
      const money = amounts.get(key);
      if (money === undefined) return honest.capture(key);
      void honest.capture(key).catch(() => undefined);
      return { outcome: 'captured', paymentId: `pay-${key}`, ...money };
    },
  };
}

/** A handler whose products are planted ones. */
export function planting(handler: CommandHandler, { product: planted = product }: Plant): CommandHandler {
  const instead = <S, C, E extends Message, R extends Rejection>(decider: Decider<S, C, E, R>) =>
    (decider.category === 'product' ? planted : decider) as typeof decider;
  return {
    ...handler,
    execute: (decider, id, command, meta, options) =>
      handler.execute(instead(decider as never), id, command as never, meta, options) as Promise<never>,
  };
}

/** The watch, with knowledge of orders as old as the plant takes. */
export function watching(
  watch: Reaction<ProductEvent>,
  { watchMaxAgeMs: maxAgeMs = 0 }: Plant,
): Reaction<ProductEvent> {
  return {
    ...watch,
    handle: (delivery, { handler, ...context }) => {
      const load: CommandHandler['load'] = (decider, id, options) =>
        handler.load(decider, id, maxAgeMs === 0 ? options : { maxAgeMs });
      return watch.handle(delivery, { ...context, handler: { ...handler, load } });
    },
  };
}
