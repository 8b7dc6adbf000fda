import { type Attributes, context, type Span, type Tracer, trace } from '@opentelemetry/api';
import type { RecordedCommit } from '../../eventstore/log.ts';
import { messaging, SAYS } from '../../eventstore/telemetry/attributes.ts';
import { markFailed } from '../../eventstore/telemetry/spans.ts';
import { type StoredTrace, withCommitId } from '../../eventstore/trace-context.ts';
import type { EngineObserver, Outcome, Work } from '../engine/observer.ts';
import { beginConsumer, messageTraces } from './message-span.ts';

/**
 * A CONSUMER span for each try of a consumer at a commit, in the trace of the command that made it. What was done or
 * parked already, and what goes behind a parked commit, shows as a short one.
 * @param prefix first token of the log's subjects
 */
export function traceTries({ tracer, prefix }: { tracer: Tracer; prefix: string }): EngineObserver {
  // A try ends with its outcome, which is known only after it was handled.
  const running = new WeakMap<Work, Span>();

  const begin = (work: Work) => {
    const { consumer, commit } = work;
    const traces = messageTraces(tracesOf(work));
    const span = beginConsumer(tracer, `${consumer} process ${commit.stream.category}`, traces);
    return { span, parent: traces.parent };
  };
  const end = (span: Span, work: Work, outcome: Outcome, error: unknown): void => {
    span.setAttributes(aboutOf(work, prefix));
    span.setAttribute(SAYS.outcome, outcome);
    if (error !== undefined) markFailed(span, error);
    span.end();
  };

  return {
    around: (work, handle) => {
      const { span, parent } = begin(work);
      if (span !== undefined) running.set(work, span);
      const own = span === undefined ? parent : trace.setSpan(parent, span);
      return context.with(withCommitId(own, work.commit.commitId), handle);
    },
    outcome: (work, outcome, error) => {
      const span = running.get(work) ?? (isShort(outcome) ? begin(work).span : undefined);
      running.delete(work);
      if (span !== undefined) end(span, work, outcome, error);
    },
  };
}

function isShort(outcome: Outcome): boolean {
  return outcome === 'known' || outcome === 'behind';
}

/** Of each decision of the commit, then of whoever asked for the try. */
function* tracesOf({ commit, requestedBy }: Work): Iterable<StoredTrace> {
  yield* decisionsOf(commit);
  if (requestedBy !== undefined) yield requestedBy;
}

function decisionsOf(commit: RecordedCommit): Iterable<StoredTrace> {
  try {
    return commit.decisions;
  } catch {
    // What cannot be decoded fails in the try itself.
    return [];
  }
}

function aboutOf(work: Work, prefix: string): Attributes {
  const { consumer, commit, attempt, redriven, redelivered = false } = work;
  const { category, id } = commit.stream;
  return messaging('process', `${prefix}.${category}`, {
    'messaging.consumer.group.name': consumer,
    [SAYS.aggregateId]: id,
    [SAYS.position]: commit.position,
    [SAYS.commitId]: commit.commitId,
    [SAYS.attempt]: attempt,
    [SAYS.redriven]: redriven,
    [SAYS.redelivered]: redelivered,
  });
}
