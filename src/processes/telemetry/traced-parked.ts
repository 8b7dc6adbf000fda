import type { Tracer } from '@opentelemetry/api';
import { endFailed } from '../../eventstore/telemetry/spans.ts';
import { contextOf, isSampled, parseTrace, storedTraceOf } from '../../eventstore/trace-context.ts';
import type { ParkedPort } from '../engine/parked-port.ts';

/** What operators ask, with an INTERNAL span for a redrive whose context is kept with the mark: the try links to it. */
export function traceParked(port: ParkedPort, tracer: Tracer): ParkedPort {
  return {
    list: port.list,
    show: port.show,
    discard: port.discard,
    redrive: async (filter, order) => {
      const asking = parseTrace(order.trace ?? {});
      if (order.dryRun || (asking !== undefined && !isSampled(asking))) return port.redrive(filter, order);
      const span = tracer.startSpan('redrive', {}, contextOf(asking));
      try {
        const answer = await port.redrive(filter, { ...order, trace: storedTraceOf(span.spanContext()) });
        span.setAttribute('jetledger.redrive.marked', answer.marked.length);
        span.end();
        return answer;
      } catch (error) {
        endFailed(span, error);
        throw error;
      }
    },
  };
}
