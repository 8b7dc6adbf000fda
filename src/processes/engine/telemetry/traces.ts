import {
  type Attributes,
  type Context,
  context,
  type Link,
  type Span,
  SpanKind,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import {
  ATTRIBUTES,
  contextOf,
  endFailed,
  isSampled,
  markFailed,
  messaging,
  numberOf,
  parseTrace,
  type RecordedCommit,
  type StoredTrace,
  storedTraceOf,
  withCommitId,
  within,
} from '../../../eventstore/index.ts';

import type { DeliveryAttempt, EngineObserver, Outcome } from '../observer.ts';

/** The traces that a message speaks of: the first is joined, all are linked to. */
export interface MessageTraces {
  /** The context to run in when nothing is recorded: the message's trace still holds for what follows from it. */
  readonly parent: Context;
  readonly links: readonly Link[];
  /** False when the message belongs to a trace that is not sampled. */
  readonly recorded: boolean;
}

/**
 * @param stored of what produced the message, the first being the one whose trace is joined; empty ones are skipped
 * @internal
 */
export function messageTraces(stored: Iterable<StoredTrace>): MessageTraces {
  const links: Link[] = [];
  const seen = new Set<string>();
  for (const each of stored) {
    const context = parseTrace(each);
    if (context === undefined || seen.has(context.spanId)) continue;
    seen.add(context.spanId);
    links.push({ context });
  }
  const first = links[0]?.context;
  return { parent: contextOf(first), links, recorded: first === undefined || isSampled(first) };
}

/** Begins the span of one try at a message; undefined when its trace is not recorded. */
export function beginConsumer(
  tracer: Tracer,
  name: string,
  { parent, links, recorded }: MessageTraces,
): Span | undefined {
  return recorded
    ? tracer.startSpan(name, { kind: SpanKind.CONSUMER, links: [...links] }, parent)
    : undefined;
}

/** Handles a message inside its CONSUMER span, which ends with it. @internal */
export async function consume<T>(
  tracer: Tracer,
  name: string,
  traces: MessageTraces,
  about: { destination: string; attributes: Attributes },
  handle: (span: Span | undefined) => Promise<T>,
): Promise<T> {
  const span = beginConsumer(tracer, name, traces);
  if (span === undefined) return inContext(traces.parent, () => handle(undefined));
  const attributes = messaging('process', about.destination, about.attributes);
  try {
    const result = await within(traces.parent, span, () => handle(span));
    span.setAttributes(attributes);
    span.end();
    return result;
  } catch (error) {
    endFailed(span, error, attributes);
    throw error;
  }
}

function inContext<T>(parent: Context, run: () => T): T {
  const span = trace.getSpan(parent);
  return span === undefined ? run() : within(parent, span, run);
}

export interface EngineTraceOptions {
  readonly tracer: Tracer;
  /** First token of the log's subjects. */
  readonly prefix: string;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
}

/**
 * A CONSUMER span for each try of a consumer at a commit, in the trace of the command that made it, and for each timer
 * that fires, in the trace of the event that armed it; an INTERNAL span for a redrive, which its tries link to.
 */
export function traceEngine(options: EngineTraceOptions): EngineObserver {
  return { ...traceTries(options), aroundTimer: traceFiring(options), aroundRedrive: traceRedrive(options) };
}

/** What was done or a dead letter already, and what goes behind a dead letter, shows as a short span. */
function traceTries({ tracer, prefix }: EngineTraceOptions) {
  // A try ends with its outcome, which is known only after it was handled.
  const running = new WeakMap<DeliveryAttempt, Span>();

  const begin = (tried: DeliveryAttempt) => {
    const { consumer, commit } = tried;
    const traces = messageTraces(tracesOf(tried));
    const span = beginConsumer(tracer, `${consumer} process ${commit.stream.category}`, traces);
    return { span, parent: traces.parent };
  };
  const end = (span: Span, tried: DeliveryAttempt, outcome: Outcome, error: unknown): void => {
    span.setAttributes(aboutOf(tried, prefix));
    span.setAttribute(ATTRIBUTES.outcome, outcome);
    if (error !== undefined) markFailed(span, error);
    span.end();
  };

  return {
    aroundTry: (tried, run) => {
      const { span, parent } = begin(tried);
      if (span !== undefined) running.set(tried, span);
      const own = span === undefined ? parent : trace.setSpan(parent, span);
      return context.with(withCommitId(own, tried.commit.commitId), () => run(tried));
    },
    outcome: (tried, outcome, error) => {
      const span = running.get(tried) ?? (isShort(outcome) ? begin(tried).span : undefined);
      running.delete(tried);
      if (span !== undefined) end(span, tried, outcome, error);
    },
  } satisfies EngineObserver;
}

function isShort(outcome: Outcome): boolean {
  return outcome === 'known' || outcome === 'behind';
}

/** Of each decision of the commit, then of whoever asked for the try. */
function* tracesOf({ commit, requestedBy }: DeliveryAttempt): Iterable<StoredTrace> {
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

function aboutOf(tried: DeliveryAttempt, prefix: string): Attributes {
  const { consumer, commit, attempt, redriven, redelivered = false } = tried;
  const { category, id } = commit.stream;
  return messaging('process', `${prefix}.${category}`, {
    'messaging.consumer.group.name': consumer,
    [ATTRIBUTES.aggregateId]: id,
    [ATTRIBUTES.position]: numberOf(commit.position),
    [ATTRIBUTES.commitId]: commit.commitId,
    [ATTRIBUTES.attempt]: attempt,
    [ATTRIBUTES.redriven]: redriven,
    [ATTRIBUTES.redelivered]: redelivered,
  });
}

function traceRedrive({ tracer }: EngineTraceOptions): NonNullable<EngineObserver['aroundRedrive']> {
  return async (request, run) => {
    const asking = parseTrace(request);
    if (asking !== undefined && !isSampled(asking)) return run(request);
    const span = tracer.startSpan('redrive', {}, contextOf(asking));
    try {
      const answer = await run(storedTraceOf(span.spanContext()));
      span.setAttribute('jetledger.redrive.marked', answer.marked.length);
      span.end();
      return answer;
    } catch (error) {
      endFailed(span, error);
      throw error;
    }
  };
}

function traceFiring({
  tracer,
  prefix,
  now,
}: EngineTraceOptions): NonNullable<EngineObserver['aroundTimer']> {
  return (fired, run) => {
    const { kind, id, at, attempt } = fired;
    const attributes = {
      'jetledger.timer.kind': kind,
      'jetledger.timer.due_late_ms': Math.max(0, now() - at),
      [ATTRIBUTES.aggregateId]: id,
      [ATTRIBUTES.attempt]: attempt,
      [ATTRIBUTES.redelivered]: attempt > 1,
    };
    const about = { destination: `${prefix}t.fire.${kind}`, attributes };
    return consume(tracer, `fire ${kind}`, messageTraces([fired]), about, () => run(fired));
  };
}
