import type { Tracer } from '@opentelemetry/api';
import { SAYS } from '../../eventstore/telemetry/attributes.ts';
import { markFailed } from '../../eventstore/telemetry/spans.ts';
import type { StoredTrace } from '../../eventstore/trace-context.ts';
import type { WorkResult } from '../engine/adapters/work-queue.ts';
import { consume, messageTraces } from './message-span.ts';

/** One try to deliver a notification, as its telemetry needs it. */
export interface DeliveryTry {
  readonly destination: string;
  readonly attempt: number;
  /** Of the message's headers. */
  readonly trace: StoredTrace;
}

/** What a try came to; `error` where it failed and is answered with another try or with giving up. */
export type TriedDelivery = WorkResult & { readonly error?: unknown };

/** Runs a try to deliver a notification. */
export type AroundDelivery = (
  about: DeliveryTry,
  deliver: () => Promise<TriedDelivery>,
) => Promise<WorkResult>;

const OUTCOMES = { done: 'handled', retry: 'retried', drop: 'given_up' } as const;

/** A CONSUMER span for each try to deliver a notification, in the trace of what it tells of. */
export function traceDelivery(tracer: Tracer): AroundDelivery {
  return ({ destination, attempt, trace }, deliver) => {
    const attributes = { [SAYS.attempt]: attempt, [SAYS.redelivered]: attempt > 1 };
    const about = { destination, attributes };
    return consume(tracer, 'process notification', messageTraces([trace]), about, async (span) => {
      const result = await deliver();
      span?.setAttribute(SAYS.outcome, OUTCOMES[result.action]);
      if (span !== undefined && result.error !== undefined) markFailed(span, result.error);
      return result;
    });
  };
}
