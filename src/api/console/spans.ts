import type { TraceSpan } from '../operators/trace-schemas.ts';

/** A span as a row of the waterfall. */
export interface SpanRow {
  readonly span: TraceSpan;
  /** How far below the top it stands, from 0. */
  readonly depth: number;
  readonly isParent: boolean;
}

/** From the first begin to the last end, in milliseconds; never empty, so that it can be divided by. */
export interface Extent {
  readonly start: number;
  readonly length: number;
}

/**
 * The spans of a trace as rows: parents before their children, siblings by their begin. A span whose parent is not here
 * (another system's, or left out) stands at the top.
 */
export function rowsOf(spans: readonly TraceSpan[]): readonly SpanRow[] {
  const ids = new Set(spans.map(({ spanId }) => spanId));
  const children = Map.groupBy(spans, ({ spanId, parentSpanId = '' }) =>
    ids.has(parentSpanId) && parentSpanId !== spanId ? parentSpanId : '',
  );
  const rows: SpanRow[] = [];
  const seen = new Set<string>();
  // A stack and not recursion: a trace may be as deep as it is long.
  const stack = (children.get('') ?? []).toReversed().map((span) => ({ span, depth: 0 }));
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const { span, depth } = next;
    if (seen.has(span.spanId)) continue;
    seen.add(span.spanId);
    const below = children.get(span.spanId) ?? [];
    rows.push({ span, depth, isParent: below.length > 0 });
    for (const child of below.toReversed()) stack.push({ span: child, depth: depth + 1 });
  }
  return rows;
}

/** Without the rows below those that are collapsed. */
export function visibleRows(rows: readonly SpanRow[], collapsed: ReadonlySet<string>): readonly SpanRow[] {
  let hiddenBelow = Number.POSITIVE_INFINITY;
  return rows.filter(({ depth, span }) => {
    if (depth > hiddenBelow) return false;
    hiddenBelow = collapsed.has(span.spanId) ? depth : Number.POSITIVE_INFINITY;
    return true;
  });
}

/** The rows that a row hangs on, the nearest first. */
export function ancestorsOf(rows: readonly SpanRow[], at: number): readonly SpanRow[] {
  const found: SpanRow[] = [];
  let depth = rows[at]?.depth ?? 0;
  for (const row of rows.slice(0, at).reverse()) {
    if (row.depth >= depth) continue;
    depth = row.depth;
    found.push(row);
  }
  return found;
}

export function extentOf(spans: readonly TraceSpan[]): Extent {
  const start = spans.reduce((least, span) => Math.min(least, span.start), Number.POSITIVE_INFINITY);
  const end = spans.reduce((most, span) => Math.max(most, span.end), start);
  return { start, length: Math.max(end - start, 0.001) || 0.001 };
}

/** Failed spans without a failed one below them: where it went wrong, in the order in which they ended. */
export function failuresOf(spans: readonly TraceSpan[]): readonly TraceSpan[] {
  const failed = spans.filter(({ status }) => status === 'error');
  const parents = new Map(spans.map(({ spanId, parentSpanId }) => [spanId, parentSpanId]));
  const above = new Set<string>();
  for (const { parentSpanId } of failed) {
    let id = parentSpanId;
    while (id !== undefined && !above.has(id)) {
      above.add(id);
      id = parents.get(id);
    }
  }
  return failed.filter(({ spanId }) => !above.has(spanId)).sort((a, b) => a.end - b.end);
}
