import {
  type Attributes,
  type Context,
  type Link,
  type Span,
  SpanKind,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import { messaging } from '../../eventstore/telemetry/attributes.ts';
import { endFailed, within } from '../../eventstore/telemetry/spans.ts';
import { contextOf, isSampled, parseTrace, type StoredTrace } from '../../eventstore/trace-context.ts';

/** The traces that a message speaks of: the first is joined, all are linked to. */
export interface MessageTraces {
  /** The context to run in when nothing is recorded: the message's trace still holds for what follows from it. */
  readonly parent: Context;
  readonly links: readonly Link[];
  /** False when the message belongs to a trace that is not sampled. */
  readonly recorded: boolean;
}

/** @param stored of what produced the message, the first being the one whose trace is joined; empty ones are skipped */
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

/** Handles a message inside its CONSUMER span, which ends with it. */
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
