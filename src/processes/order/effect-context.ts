import { type OrderCommand, type OrderEvent, type OrderStep, order } from '../../domain/order.ts';
import type { CommandHandler, CommandMeta, Position, Runtime } from '../../eventstore/index.ts';
import type { ConsumedEvent, Delivery, Timers } from '../engine/index.ts';

import type { NotificationOutbox } from '../notification/port.ts';
import type { PaymentProvider } from '../payment/port.ts';
import { causedBy, executeCommand, ProcessFault } from './commands.ts';
import type { CustomerDirectory } from './ports.ts';
import type { OrderEffect } from './react.ts';

/** What the order process acts on. */
export interface OrderProcessDeps {
  readonly handler: CommandHandler;
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

/** An event of an order, and the means to act on it. */
export interface EffectContext {
  readonly orderId: string;
  /** Of the event's commit. */
  readonly position: Position;
  /** Whether it may have been handled before. */
  readonly maybeHandled: boolean;
  readonly consumed: ConsumedEvent<OrderEvent>;
  readonly deps: OrderProcessDeps;
  /** What accompanies a command; `purpose` names it among those of the same commit. */
  meta(purpose: string): CommandMeta;
  /** Tells the order what was done. */
  report(purpose: string, command: UntimedCommand): Promise<void>;
  /** Tells the order that a step has failed for good. */
  reject(purpose: string, step: OrderStep, code: string, reason: string): Promise<void>;
}

type WithoutTime<Command> = Command extends unknown ? Omit<Command, 'at'> : never;
type UntimedCommand = WithoutTime<OrderCommand>;

/** Puts an event together with what its effects need. */
export function effectContextOf(
  deps: OrderProcessDeps,
  delivery: Delivery<OrderEvent>,
  consumed: ConsumedEvent<OrderEvent>,
): EffectContext {
  const { position, maybeHandled, stream } = delivery;
  const meta: EffectContext['meta'] = (purpose) => causedBy(position, consumed, purpose);

  const report: EffectContext['report'] = async (purpose, command) => {
    // Spreading forgets which member of the union it was; only the time was missing.
    const timed = { ...command, at: deps.runtime.now() } as OrderCommand;
    const reply = await executeCommand(deps.handler, order, stream.id, timed, meta(purpose));
    // A late report changes nothing and is not refused; what is refused needs a person.
    if (reply.outcome === 'rejected') throw new ProcessFault(`${stream.id}: ${reply.rejection.message}`);
  };

  return {
    orderId: stream.id,
    position,
    maybeHandled,
    consumed,
    deps,
    meta,
    report,
    reject: (purpose, step, code, reason) => report(purpose, { type: 'reject', step, code, reason }),
  };
}
