import {
  type Attributes,
  type Context,
  context,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import type { CommandMeta } from '../command.ts';
import type { CommandAnswer, CommandCall, StoreObserver } from '../observer.ts';
import { contextOf, isSampled, namesUnsampled, parseTrace, storedTraceOf } from '../trace-context.ts';
import { ATTRIBUTES, endFailed, messaging, within } from './spans.ts';

/**
 * A PRODUCER span for each command, whose context is stored with its decision, so that whoever reads the decision can
 * join the trace. A command of a trace that is not sampled is passed on as it is: its decision stores the caller's
 * context, and nobody records anything.
 * @param prefix first token of the log's subjects
 */
export function traceStore({ tracer, prefix }: { tracer: Tracer; prefix: string }): StoreObserver {
  const describe = createDescribe(prefix);

  const traced = async <Answer extends CommandAnswer>(
    call: CommandCall,
    { span, parent, meta }: Begun & { readonly span: Span },
    run: (call: CommandCall) => Promise<Answer>,
  ): Promise<Answer> => {
    try {
      const answer = await inside(parent, span, () => run(withMeta(call, meta)));
      if (span.isRecording()) {
        describe(span, call, meta);
        tellAnswer(span, call, answer);
      }
      span.end();
      return answer;
    } catch (error) {
      describe(span, call, meta);
      endFailed(span, error, { [ATTRIBUTES.outcome]: 'fault' });
      throw error;
    }
  };

  return {
    aroundCommand: (call, run) => {
      const { span, parent, meta } = begin(tracer, call);
      if (span === undefined) return run(meta === call.meta ? call : withMeta(call, meta));
      return traced(call, { span, parent, meta }, run);
    },
    retried: (_category, commands) => {
      for (const command of commands) if (command instanceof TracedMeta) command.attempts++;
    },
  };
}

interface Begun {
  /** Undefined when the trace is not sampled. */
  readonly span: Span | undefined;
  readonly parent: Context;
  /** With the trace context that is to be stored. */
  readonly meta: CommandMeta;
}

function begin(tracer: Tracer, { category, command, together, meta }: CommandCall): Begun {
  const active = context.active();
  const under = trace.getSpanContext(active);
  if (under === undefined && namesUnsampled(meta.traceparent))
    return { span: undefined, parent: active, meta };
  // What is under way here; where nothing is, the trace that the caller has handed in with the command.
  const above = under ?? parseTrace(meta);
  if (above !== undefined && !isSampled(above)) {
    const stored = meta.traceparent ? meta : new TracedMeta(meta, above);
    return { span: undefined, parent: active, meta: stored };
  }
  const parent = under === undefined ? contextOf(above) : active;
  const name = together === undefined ? `${category}.${command}` : 'commit.all';
  const span = tracer.startSpan(name, { kind: SpanKind.PRODUCER }, parent);
  return { span, parent, meta: new TracedMeta(meta, span.spanContext()) };
}

/** What accompanies a command, with the context of its span, which is stored; counts how often it is decided. */
class TracedMeta implements CommandMeta {
  readonly commandId: string;
  readonly fingerprint: Uint8Array | undefined;
  readonly correlationId: string | undefined;
  readonly causationId: string | undefined;
  readonly actor: string;
  readonly traceparent: string;
  readonly tracestate: string | undefined;
  attempts = 1;

  constructor(meta: CommandMeta, span: SpanContext) {
    const { traceparent, tracestate = meta.tracestate } = storedTraceOf(span);
    this.commandId = meta.commandId;
    this.fingerprint = meta.fingerprint;
    this.correlationId = meta.correlationId;
    this.causationId = meta.causationId;
    this.actor = meta.actor;
    this.traceparent = traceparent;
    this.tracestate = tracestate;
  }
}

/** Field by field: Node 20 makes a hidden class of its own for each spread with more fields behind it. */
function withMeta({ category, id, command, together }: CommandCall, meta: CommandMeta): CommandCall {
  return { category, id, command, together, meta };
}

/**
 * The span becomes the active one only where something was active already. A command that comes straight from a
 * request carries its trace with it: an asynchronous context would slow down every promise of the process on Node 20.
 */
function inside<T>(parent: Context, span: Span, run: () => T): T {
  return parent !== ROOT_CONTEXT && parent === context.active() ? within(parent, span, run) : run();
}

/** Says on a span which command it is of; of several that are stored together only how many. */
function createDescribe(prefix: string): (span: Span, call: CommandCall, meta: CommandMeta) => void {
  const categories = new Map<string, Attributes>();
  const aboutCategory = (category: string): Attributes => {
    let about = categories.get(category);
    if (about === undefined) {
      about = { ...messaging('append', `${prefix}.${category}`), [ATTRIBUTES.category]: category };
      categories.set(category, about);
    }
    return about;
  };
  return (span, { category, id, together }, meta) => {
    if (together !== undefined) {
      span.setAttributes(messaging('append', prefix, { [ATTRIBUTES.commands]: together }));
      return;
    }
    span.setAttributes(aboutCategory(category));
    span.setAttribute(ATTRIBUTES.aggregateId, id);
    if (meta instanceof TracedMeta) span.setAttribute(ATTRIBUTES.attempts, meta.attempts);
  };
}

function tellAnswer(span: Span, { together }: CommandCall, answer: CommandAnswer): void {
  const { outcome, version, actual, rejection, repeated } = answer;
  if (together !== undefined) {
    span.setAttribute(ATTRIBUTES.outcome, outcome);
    return;
  }
  span.setAttribute(ATTRIBUTES.outcome, outcome === 'key-reused' ? 'key_reused' : outcome);
  span.setAttribute(ATTRIBUTES.version, version ?? actual ?? 0);
  if (rejection !== undefined) span.setAttribute(ATTRIBUTES.rejection, rejection.code);
  if (repeated === true) span.setAttribute(ATTRIBUTES.repeated, true);
}
