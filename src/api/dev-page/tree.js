/**
 * The spans of a trace as the rows of its waterfall: parents before their children, siblings by their begin. A span whose
 * parent is not here (another system's, or left out) stands at the top.
 */
export function rowsOf(spans) {
  const ids = new Set(spans.map(({ spanId }) => spanId));
  const children = new Map();
  const roots = [];
  for (const span of spans) {
    const { parentSpanId } = span;
    if (parentSpanId === undefined || !ids.has(parentSpanId) || parentSpanId === span.spanId)
      roots.push(span);
    else children.set(parentSpanId, [...(children.get(parentSpanId) ?? []), span]);
  }
  const rows = [];
  const seen = new Set();
  // A stack and not recursion: a trace may be as deep as it is long.
  const stack = roots.toReversed().map((span) => ({ span, depth: 0 }));
  while (stack.length > 0) {
    const { span, depth } = stack.pop();
    if (seen.has(span.spanId)) continue;
    seen.add(span.spanId);
    const below = children.get(span.spanId) ?? [];
    rows.push({ span, depth, isParent: below.length > 0 });
    for (const child of below.toReversed()) stack.push({ span: child, depth: depth + 1 });
  }
  return rows;
}

/** Without the rows below those that are collapsed. */
export function visibleRows(rows, collapsed) {
  const shown = [];
  let hiddenBelow = Number.POSITIVE_INFINITY;
  for (const row of rows) {
    if (row.depth > hiddenBelow) continue;
    hiddenBelow = collapsed.has(row.span.spanId) ? row.depth : Number.POSITIVE_INFINITY;
    shown.push(row);
  }
  return shown;
}

/** From the first begin to the last end, in milliseconds; never empty, so that it can be divided by. */
export function extentOf(spans) {
  const start = spans.reduce((least, span) => Math.min(least, span.start), Number.POSITIVE_INFINITY);
  const end = spans.reduce((most, span) => Math.max(most, span.end), start);
  return { start, end, length: Math.max(end - start, 0.001) };
}

/** Failed spans without a failed one below them: where it went wrong, in the order in which they ended. */
export function failuresOf(spans) {
  const failed = spans.filter(({ status }) => status === 'error');
  const byId = new Map(spans.map((span) => [span.spanId, span]));
  const above = new Set();
  for (const { parentSpanId } of failed) {
    let id = parentSpanId;
    while (id !== undefined && !above.has(id)) {
      above.add(id);
      id = byId.get(id)?.parentSpanId;
    }
  }
  return failed.filter(({ spanId }) => !above.has(spanId)).sort((a, b) => a.end - b.end);
}
