import type { Message } from '@bufbuild/protobuf';
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
import type { CommandMeta, CommandResult } from '../command.ts';
import type { Rejection } from '../decider.ts';
import type { Handler } from '../handler.ts';
import { contextOf, isSampled, namesUnsampled, parseTrace, storedTraceOf } from '../trace-context.ts';
import { ATTRIBUTES, endFailed, messaging, within } from './spans.ts';

/**
 * A handler that makes a PRODUCER span of each command and stores that span's context with its decision, so that
 * whoever reads the decision can join the trace. A command of a trace that is not sampled is passed on as it is: its
 * decision stores the caller's context, and nobody records anything.
 * @param prefix first token of the log's subjects
 */
export function traceHandler(
  handler: Handler,
  { tracer, prefix }: { tracer: Tracer; prefix: string },
): Handler {
  const begin = (name: string, meta: CommandMeta): Begun => {
    const active = context.active();
    const under = trace.getSpanContext(active);
    if (under === undefined && namesUnsampled(meta.traceparent))
      return { span: undefined, parent: active, meta };
    // What is under way here; where nothing is, the trace that the caller has handed in with the command.
    const above = under ?? parseTrace(meta);
    if (above !== undefined && !isSampled(above)) {
      return { span: undefined, parent: active, meta: meta.traceparent ? meta : withTrace(meta, above) };
    }
    const parent = under === undefined ? contextOf(above) : active;
    const span = tracer.startSpan(name, { kind: SpanKind.PRODUCER }, parent);
    return { span, parent, meta: withTrace(meta, span.spanContext()) };
  };
  const categories = new Map<string, Attributes>();
  const aboutCategory = (category: string): Attributes => {
    let about = categories.get(category);
    if (about === undefined) {
      about = { ...messaging('append', `${prefix}.${category}`), [ATTRIBUTES.category]: category };
      categories.set(category, about);
    }
    return about;
  };

  const traced = async <Result extends CommandResult<unknown, Message, Rejection>>(
    { span, parent, meta }: Traced,
    category: string,
    id: string,
    execute: (stored: CommandMeta) => Promise<Result>,
  ): Promise<Result> => {
    let attempts = 1;
    const decidedAgain = (): void => {
      attempts++;
    };
    const describe = (): void => {
      span.setAttributes(aboutCategory(category));
      span.setAttribute(ATTRIBUTES.aggregateId, id);
      span.setAttribute(ATTRIBUTES.attempts, attempts);
    };
    try {
      const result = await inside(parent, span, () => execute({ ...meta, decidedAgain }));
      if (span.isRecording()) {
        describe();
        tellOutcome(span, result);
      }
      span.end();
      return result;
    } catch (error) {
      describe();
      endFailed(span, error, { [ATTRIBUTES.outcome]: 'fault' });
      throw error;
    }
  };

  return {
    load: handler.load,
    find: handler.find,
    close: handler.close,

    execute: (decider, id, command, meta, options) => {
      const { category } = decider;
      const { span, parent, meta: stored } = begin(`${category}.${nameOf(command)}`, meta);
      if (span === undefined) return handler.execute(decider, id, command, stored, options);
      const execute = (own: CommandMeta) => handler.execute(decider, id, command, own, options);
      return traced({ span, parent, meta: stored }, category, id, execute);
    },

    commitAll: async (parts, meta) => {
      const { span, parent, meta: stored } = begin('commit.all', meta);
      if (span === undefined) return handler.commitAll(parts, stored);
      const about: Attributes = { ...messaging('append', prefix), [ATTRIBUTES.commands]: parts.length };
      try {
        const result = await inside(parent, span, () => handler.commitAll(parts, stored));
        span.setAttributes({ ...about, [ATTRIBUTES.outcome]: result.outcome });
        span.end();
        return result;
      } catch (error) {
        endFailed(span, error, { ...about, [ATTRIBUTES.outcome]: 'fault' });
        throw error;
      }
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

type Traced = Begun & { readonly span: Span };

/** Field by field: Node 20 makes a hidden class of its own for each spread with more fields behind it. */
function withTrace(meta: CommandMeta, span: SpanContext): CommandMeta {
  const { commandId, fingerprint, correlationId, causationId, actor, decidedAgain } = meta;
  const { traceparent, tracestate = meta.tracestate } = storedTraceOf(span);
  return {
    commandId,
    fingerprint,
    correlationId,
    causationId,
    actor,
    traceparent,
    tracestate,
    decidedAgain,
  };
}

/**
 * The span becomes the active one only where something was active already. A command that comes straight from a
 * request carries its trace with it: an asynchronous context would slow down every promise of the process on Node 20.
 */
function inside<T>(parent: Context, span: Span, run: () => T): T {
  return parent !== ROOT_CONTEXT && parent === context.active() ? within(parent, span, run) : run();
}

function tellOutcome(span: Span, result: CommandResult<unknown, Message, Rejection>): void {
  const { outcome } = result;
  span.setAttribute(ATTRIBUTES.outcome, outcome === 'key-reused' ? 'key_reused' : outcome);
  span.setAttribute(ATTRIBUTES.version, outcome === 'conflict' ? result.actual : result.version);
  if (outcome === 'rejected') span.setAttribute(ATTRIBUTES.rejection, result.rejection.code);
  if (outcome === 'accepted' && result.repeated) span.setAttribute(ATTRIBUTES.repeated, true);
}

/** Deciders name their commands by `type`. */
function nameOf(command: unknown): string {
  const type =
    typeof command === 'object' && command !== null && 'type' in command ? command.type : undefined;
  return typeof type === 'string' ? type : 'command';
}
