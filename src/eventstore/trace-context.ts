import {
  type Context,
  context,
  createContextKey,
  createTraceState,
  ROOT_CONTEXT,
  type SpanContext,
  TraceFlags,
  trace,
} from '@opentelemetry/api';

/** A W3C trace context as it travels in headers and is stored in decisions; empty or absent where there is none. */
export interface StoredTrace {
  readonly traceparent?: string | undefined;
  readonly tracestate?: string | undefined;
}

/** Version, trace id, span id and flags. */
const SHAPE = '00-tttttttttttttttttttttttttttttttt-ssssssssssssssss-ff';
const [TRACE_AT, SPAN_AT, FLAGS_AT] = [SHAPE.indexOf('t'), SHAPE.indexOf('s'), SHAPE.indexOf('f')];
const VERSION_END = TRACE_AT - 1;
const TRACESTATE = /^[\x20-\x7e]{1,512}$/;
const COMMIT_ID = createContextKey('jetledger commit id');

/** The context that a W3C traceparent names; undefined when it is none, which is as good as absent. @internal */
export function parseTrace({ traceparent, tracestate }: StoredTrace): SpanContext | undefined {
  if (!traceparent || !isTraceparent(traceparent)) return undefined;
  const traceId = traceparent.slice(TRACE_AT, SPAN_AT - 1);
  const spanId = traceparent.slice(SPAN_AT, FLAGS_AT - 1);
  const traceFlags = flagsOf(traceparent) & TraceFlags.SAMPLED;
  const state = tracestate && TRACESTATE.test(tracestate) ? createTraceState(tracestate) : undefined;
  return { traceId, spanId, traceFlags, isRemote: true, ...(state !== undefined && { traceState: state }) };
}

/** Whether a text names a context whose spans nobody records; a tenth of the work of parsing it. */
export function namesUnsampled(traceparent: string | undefined): boolean {
  return (
    traceparent !== undefined &&
    isTraceparent(traceparent) &&
    (flagsOf(traceparent) & TraceFlags.SAMPLED) === 0
  );
}

/** A context as headers carry it. @internal */
export function storedTraceOf(span: SpanContext): { traceparent: string; tracestate?: string } {
  const traceparent = `00-${span.traceId}-${span.spanId}-${isSampled(span) ? '01' : '00'}`;
  const tracestate = span.traceState?.serialize();
  return tracestate ? { traceparent, tracestate } : { traceparent };
}

/** Whether its spans are recorded. @internal */
export function isSampled(span: SpanContext): boolean {
  return (span.traceFlags & TraceFlags.SAMPLED) !== 0;
}

/** A context of execution in which a stored trace is the active one; the root when there is none. @internal */
export function contextOf(stored: SpanContext | undefined): Context {
  return stored === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, stored);
}

/**
 * The trace that is under way here, sampled or not; undefined outside of any, and always while tracing is off.
 * @internal
 */
export function activeTrace(): SpanContext | undefined {
  return trace.getSpanContext(context.active());
}

/** Marks what runs in a context as the handling of a commit. @internal */
export function withCommitId(parent: Context, commitId: string): Context {
  return parent.setValue(COMMIT_ID, commitId);
}

/** The commit that is being handled here, if any. @internal */
export function activeCommitId(): string | undefined {
  const id = context.active().getValue(COMMIT_ID);
  return typeof id === 'string' ? id : undefined;
}

/**
 * As the specification demands: lower case, no id of zeros; a version above 00 may have more after its flags, and ff is
 * none. By hand, since every command asks.
 */
function isTraceparent(text: string): boolean {
  if (!isVersioned(text)) return false;
  if (text[SPAN_AT - 1] !== '-' || text[FLAGS_AT - 1] !== '-') return false;
  return (
    digitsAboveZero(text, FLAGS_AT, SHAPE.length) >= 0 &&
    digitsAboveZero(text, TRACE_AT, SPAN_AT - 1) > 0 &&
    digitsAboveZero(text, SPAN_AT, FLAGS_AT - 1) > 0
  );
}

function isVersioned(text: string): boolean {
  if (text.length === SHAPE.length && text.startsWith('00-')) return true;
  const goesOn = text.length === SHAPE.length || text[SHAPE.length] === '-';
  return (
    goesOn && text[VERSION_END] === '-' && !text.startsWith('ff') && digitsAboveZero(text, 0, VERSION_END) > 0
  );
}

const [ZERO, NINE, LOWER_A, LOWER_F] = [48, 57, 97, 102];

/** How many hexadecimal digits there are not 0; -1 when anything there is none. */
function digitsAboveZero(text: string, from: number, to: number): number {
  let above = 0;
  for (let i = from; i < to; i++) {
    const code = text.charCodeAt(i);
    const isDigit = code >= ZERO && code <= NINE;
    if (!isDigit && (code < LOWER_A || code > LOWER_F)) return -1;
    if (code !== ZERO) above++;
  }
  return above;
}

const flagsOf = (traceparent: string): number =>
  Number.parseInt(traceparent.slice(FLAGS_AT, SHAPE.length), 16);
