import type { Tracer } from '@opentelemetry/api';
import { SAYS } from '../../eventstore/telemetry/attributes.ts';
import type { Fired } from '../engine/timers.ts';
import { consume, messageTraces } from './message-span.ts';

/**
 * A handler of timers with a CONSUMER span for each firing, in the trace of the event that armed the timer.
 * @param prefix first token of the log's subjects
 * @param now milliseconds since the Unix epoch
 */
export function traceFiring(
  handle: (fired: Fired) => Promise<void>,
  { tracer, prefix, now }: { tracer: Tracer; prefix: string; now: () => number },
): (fired: Fired) => Promise<void> {
  return (fired) => {
    const { kind, id, at, attempt } = fired;
    const attributes = {
      'jetledger.timer.kind': kind,
      'jetledger.timer.due_late_ms': Math.max(0, now() - at),
      [SAYS.aggregateId]: id,
      [SAYS.attempt]: attempt,
      [SAYS.redelivered]: attempt > 1,
    };
    const about = { destination: `${prefix}t.fire.${kind}`, attributes };
    return consume(tracer, `fire ${kind}`, messageTraces([fired]), about, async () => handle(fired));
  };
}
