import { activeCommitId, activeTrace } from '../../eventstore/trace-context.ts';

/** What a line of the log says of the trace and the message that it was written in; a new object each time, since pino writes into it. */
export function traceFields(): object {
  const active = activeTrace();
  if (active === undefined) return {};
  const commit = activeCommitId();
  const ids = { trace_id: active.traceId, span_id: active.spanId };
  return commit === undefined ? ids : { ...ids, commit_id: commit };
}
