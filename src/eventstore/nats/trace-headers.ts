import type { MsgHdrs } from '@nats-io/transport-node';
import { activeTrace, type StoredTrace, storedTraceOf } from '../trace-context.ts';
import { HEADER } from './wire.ts';

/** Lets a message carry the active trace; where none is under way, the one that is given. */
export function setTraceHeaders(headers: MsgHdrs, otherwise: StoredTrace = {}): void {
  const active = activeTrace();
  const { traceparent, tracestate }: StoredTrace = active === undefined ? otherwise : storedTraceOf(active);
  if (!traceparent) return;
  headers.set(HEADER.traceparent, traceparent);
  if (tracestate) headers.set(HEADER.tracestate, tracestate);
}

/** What a message carries of a trace. */
export function traceHeadersOf(headers: MsgHdrs | undefined): { traceparent?: string; tracestate?: string } {
  const traceparent = headers?.get(HEADER.traceparent);
  const tracestate = headers?.get(HEADER.tracestate);
  return { ...(traceparent && { traceparent }), ...(tracestate && { tracestate }) };
}
