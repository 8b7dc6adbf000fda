import { type OrderCommand, type OrderEvent, type OrderStep, order } from '../../domain/order.ts';
import type { Runtime } from '../../eventstore/index.ts';
import type { Step, Timers } from '../engine/index.ts';
import type { NotificationOutbox } from '../notification/port.ts';
import type { PaymentProvider } from '../payment/port.ts';
import type { CustomerDirectory } from './ports.ts';
import type { OrderEffect } from './react.ts';

/** What the order process acts on. */
export interface OrderProcessDeps {
  readonly runtime: Runtime;
  readonly directory: CustomerDirectory;
  readonly payments: PaymentProvider;
  readonly timers: Pick<Timers, 'arm' | 'disarm'>;
  readonly notifications: NotificationOutbox;
  /** Around each effect, for traces. */
  readonly aroundStep?: AroundStep;
}

/** Executes an effect; may hand on a context of its own, to be told what is reported. */
export type AroundStep = (
  effect: OrderEffect,
  context: EffectContext,
  run: (context: EffectContext) => Promise<void>,
) => Promise<void>;

/** A step of an order's process, and how the order is told what came of it. */
export interface EffectContext extends Step<OrderEvent> {
  readonly deps: OrderProcessDeps;
  readonly report: Report;
  /** Tells the order that a step has failed for good. */
  reject(purpose: string, step: OrderStep, code: string, reason: string): Promise<void>;
}

/**
 * Tells the order what was done.
 * @param options `at`: when, now unless given; `together`: stored in one commit with what is told next in this turn
 */
export type Report = (
  purpose: string,
  command: UntimedCommand,
  options?: { readonly at?: number; readonly together?: boolean },
) => Promise<void>;

type WithoutTime<Command> = Command extends unknown ? Omit<Command, 'at'> : never;
type UntimedCommand = WithoutTime<OrderCommand>;

/** Puts a step together with what its effects need. */
export function effectContextOf(deps: OrderProcessDeps, step: Step<OrderEvent>): EffectContext {
  return reportingBy({ ...step, deps }, async (purpose, command, { at, together = false } = {}) => {
    // Spreading forgets which member of the union it was; only the time was missing.
    const timed = { ...command, at: at ?? deps.runtime.now() } as OrderCommand;
    // A late report changes nothing and is not refused; what is refused needs a person.
    await step.cause.execute(order, step.id, timed, purpose, { together });
  });
}

/** A context whose reports, and rejections, go one way. */
export function reportingBy(
  context: Omit<EffectContext, 'report' | 'reject'>,
  report: Report,
): EffectContext {
  return {
    ...context,
    report,
    reject: (purpose, step, code, reason) => report(purpose, { type: 'reject', step, code, reason }),
  };
}
