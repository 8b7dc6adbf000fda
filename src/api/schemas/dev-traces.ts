/** A trace in the list of the last ones. Times in milliseconds since the Unix epoch, with fractions. */
export interface TraceSummary {
  readonly traceId: string;
  /** Of the span without a parent here, else of the one that began first. */
  readonly name: string;
  /** How the request that began it was answered: `201`, or `404 order/not-found`. */
  readonly answer?: string;
  readonly start: number;
  /** From the first begin to the last end, in milliseconds. */
  readonly durationMs: number;
  readonly spans: number;
  /** Spans that were left out, because a trace keeps only so many. */
  readonly omitted: number;
  /** Whether some span of it has failed. */
  readonly error: boolean;
  /** Where it went wrong: the span that failed first, and its sentence. */
  readonly failed?: { readonly name: string; readonly reason?: string };
  /** Who took part: `api`, the consumers of events, servers that were called. */
  readonly parts: readonly string[];
  /** Of the aggregates and orders that its spans name, some twenty at most. */
  readonly ids: readonly string[];
}

type Value = string | number | boolean | readonly (string | number | boolean | null | undefined)[];
type Values = Readonly<Record<string, Value | undefined>>;

/** A span of a trace. Times in milliseconds since the Unix epoch, with fractions. */
export interface TraceSpan {
  readonly spanId: string;
  /** Absent where it began the trace. The parent may be another system's, and is then not among the spans. */
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: 'internal' | 'server' | 'client' | 'producer' | 'consumer';
  readonly start: number;
  readonly end: number;
  readonly attributes: Values;
  readonly events: readonly { readonly name: string; readonly time: number; readonly attributes: Values }[];
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[];
  readonly status: 'unset' | 'ok' | 'error';
  /** Why it failed, in a sentence. */
  readonly error?: string;
}

/** The body of `GET /dev/traces.json`. */
export interface TraceList {
  /** The newest first. */
  readonly traces: readonly TraceSummary[];
}

/** The body of `GET /dev/traces/{traceId}.json`. */
export interface TraceDetail {
  readonly traceId: string;
  /** By their begin. */
  readonly spans: readonly TraceSpan[];
}

/** The last traces of this process, in memory, for development. */
export interface DevTraces {
  /** The newest first. */
  list(limit: number): readonly TraceSummary[];
  /** Its spans by their begin; undefined when it is not kept. */
  trace(traceId: string): readonly TraceSpan[] | undefined;
}
