import type { CommandHandler, EventSource, Runtime } from '../../eventstore/index.ts';
import type { Reaction, Timer, Timers } from '../engine/index.ts';
import type { OrderProcessDeps } from './effect-context.ts';
import type { AbandonStaleClaim, AskToErase, ForgetWhenDue, OpenOrders } from './ports.ts';

/** Everything that the shop's reactions act on; each takes what it needs. */
export interface ReactionDeps extends OrderProcessDeps {
  readonly openOrders: Pick<OpenOrders, 'ofUser'>;
  /** Age from which an e-mail claim may be taken over, in milliseconds. */
  readonly staleClaimMs: number;
  readonly askToErase: AskToErase;
}

/** A reaction as the service's list holds it: what it is called and reads, and how it is made. */
export interface ReactionDefinition {
  /** Letters, digits and `-`; part of stored keys, so it never changes. */
  readonly name: string;
  readonly sources: readonly EventSource[];
  /** Where it begins when it runs for the first time. */
  readonly from: Reaction['from'];
  /** What it does, in a few words, for docs/reference.md. */
  readonly does: string;
  create(deps: ReactionDeps): Reaction;
}

/** What the shop's timers act on when they fire. */
export interface TimerDeps {
  readonly handler: CommandHandler;
  readonly runtime: Runtime;
  readonly timers: Pick<Timers, 'arm' | 'disarm'>;
  readonly abandonStaleClaim: AbandonStaleClaim;
  readonly forgetWhenDue: ForgetWhenDue;
  readonly askToErase: AskToErase;
}

/** A kind of timer as the service's list holds it. */
export interface TimerDefinition {
  /** Stored with every timer. */
  readonly kind: string;
  /** Of the aggregate whose id a timer has. */
  readonly category: string;
  /** What is done when one fires; whatever it throws is tried again. */
  create(deps: TimerDeps): (timer: Timer) => Promise<void>;
}
