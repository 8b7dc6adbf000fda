import { useEffect, useRef, useState } from 'preact/hooks';
import type { TraceSpan } from '../../operators/trace-schemas.ts';
import { duration } from '../format.ts';
import { ancestorsOf, type Extent, extentOf, rowsOf, type SpanRow, visibleRows } from '../spans.ts';

const TICKS = 4;
const INDENT_PX = 9;
/** Share of the width that the words beside a bar need. */
const ROOM = 0.3;

/** The bars of a trace on an axis of time, as a tree: arrows move, left and right collapse and expand. */
export function Waterfall({
  spans,
  chosen,
  choose,
}: {
  readonly spans: readonly TraceSpan[];
  readonly chosen: string;
  readonly choose: (spanId: string) => void;
}) {
  const [collapsed, setCollapsed] = useState<ReadonlySet<string>>(new Set());
  const tree = useRef<HTMLDivElement>(null);
  const rows = rowsOf(spans);
  const above = ancestorsOf(
    rows,
    rows.findIndex(({ span }) => span.spanId === chosen),
  );
  const hidden = new Set([...collapsed].filter((id) => !above.some(({ span }) => span.spanId === id)));
  const shown = visibleRows(rows, hidden);
  const extent = extentOf(spans);
  // Where it stands when the page opens, and wherever the keys or a link lead.
  useEffect(() => tree.current?.querySelector<HTMLElement>('[aria-selected=true]')?.focus(), [chosen]);
  const toggle = (spanId: string): void => {
    setCollapsed(
      new Set(hidden.has(spanId) ? [...hidden].filter((id) => id !== spanId) : [...hidden, spanId]),
    );
  };
  const key = (event: KeyboardEvent): void => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const at = shown.findIndex(({ span }) => span.spanId === chosen);
    const wanted = at === -1 ? undefined : reactionTo(event.key, shown, at, hidden);
    if (wanted === undefined) return;
    event.preventDefault();
    if (wanted === 'toggle') toggle(chosen);
    else choose(wanted.span.spanId);
  };
  const click = ({ target }: MouseEvent): void => {
    if (!(target instanceof Element)) return;
    const spanId = target.closest('[data-span]')?.getAttribute('data-span');
    const row = shown.find(({ span }) => span.spanId === spanId);
    if (row === undefined) return;
    if (row.isParent && target.closest('.twisty') !== null) toggle(row.span.spanId);
    choose(row.span.spanId);
  };
  return (
    <div class="waterfall">
      <div class="axis" aria-hidden="true">
        <span>Span</span>
        <Ticks extent={extent} />
      </div>
      <div ref={tree} role="tree" aria-label="Spans" onKeyDown={key} onClick={click}>
        {shown.map((row) => (
          <Row
            key={row.span.spanId}
            row={row}
            extent={extent}
            isChosen={row.span.spanId === chosen}
            isCollapsed={hidden.has(row.span.spanId)}
          />
        ))}
      </div>
    </div>
  );
}

function reactionTo(
  key: string,
  shown: readonly SpanRow[],
  at: number,
  collapsed: ReadonlySet<string>,
): SpanRow | 'toggle' | undefined {
  const row = shown[at];
  if (row === undefined) return undefined;
  const isOpen = row.isParent && !collapsed.has(row.span.spanId);
  switch (key) {
    case 'ArrowDown':
      return shown[at + 1];
    case 'ArrowUp':
      return shown[at - 1];
    case 'Home':
      return shown[0];
    case 'End':
      return shown.at(-1);
    case 'ArrowLeft':
      return isOpen ? 'toggle' : ancestorsOf(shown, at)[0];
    case 'ArrowRight':
      if (row.isParent) return isOpen ? shown[at + 1] : 'toggle';
      return undefined;
    default:
      return undefined;
  }
}

function Ticks({ extent: { length } }: { readonly extent: Extent }) {
  return (
    <div class="ticks">
      {Array.from({ length: TICKS }, (_, at) => (
        <span key={at} class="tick" style={{ left: percent(at / TICKS) }}>
          {at === 0 ? '0' : duration((length / TICKS) * at)}
        </span>
      ))}
    </div>
  );
}

function Row({
  row: { span, depth, isParent },
  extent,
  isChosen,
  isCollapsed,
}: {
  readonly row: SpanRow;
  readonly extent: Extent;
  readonly isChosen: boolean;
  readonly isCollapsed: boolean;
}) {
  const { spanId, name, kind } = span;
  return (
    <div
      data-span={spanId}
      class={span.status === 'error' ? 'row failed' : 'row'}
      role="treeitem"
      tabIndex={isChosen ? 0 : -1}
      aria-level={depth + 1}
      aria-selected={isChosen}
      aria-expanded={isParent ? !isCollapsed : undefined}
    >
      <div class="what" style={{ paddingLeft: `${depth * INDENT_PX}px` }}>
        <span class="twisty" aria-hidden="true">
          {isParent ? (isCollapsed ? '▸' : '▾') : ''}
        </span>
        <i class={`kind ${kind}`} aria-hidden="true" />
        <span class="name" title={name}>
          {name}
        </span>
        <span class="unseen">, {kind}, </span>
      </div>
      <Track span={span} extent={extent} />
    </div>
  );
}

/** What is written about a bar stands where the most room is: behind it, before it, or on one that takes nearly all. */
function Track({ span, extent }: { readonly span: TraceSpan; readonly extent: Extent }) {
  const from = (span.start - extent.start) / extent.length;
  const to = (span.end - extent.start) / extent.length;
  const room = Math.max(1 - to, from);
  const isInside = room < ROOM && to - from > room;
  const isBehind = isInside || 1 - to >= from;
  const side = isBehind ? { left: percent(isInside ? from : to) } : { right: percent(1 - from) };
  return (
    <div class="lane">
      <i class={`strip ${span.kind}`} style={{ left: percent(from), width: percent(to - from) }} />
      <span
        class={isInside ? 'beside inside' : 'beside'}
        style={{ ...side, maxWidth: percent(isInside ? to - from : room) }}
      >
        {duration(span.end - span.start)}
        {span.status === 'error' && (
          <>
            <span class="unseen">, failed:</span>{' '}
            <span class="why" title={span.error}>
              {span.error ?? 'no reason given'}
            </span>
          </>
        )}
      </span>
    </div>
  );
}

const percent = (share: number): string => `${share * 100}%`;
