import { h } from './dom.js';
import { durationOf, tickOf } from './format.js';
import { extentOf, rowsOf, visibleRows } from './tree.js';

const TICKS = 4;
const INDENT_PX = 9;
/** Share of the width that the words beside a bar need. */
const ROOM = 0.3;

/**
 * The bars of a trace on a time axis, as a tree: arrows move, left and right collapse and expand.
 * @param onSelect gets the id of the span that was chosen
 */
export function createWaterfall(onSelect) {
  const axis = h('div', { class: 'axis' });
  const tree = h('div', { class: 'rows', role: 'tree', 'aria-label': 'Spans' });
  const element = h('div', { class: 'waterfall' }, axis, tree);
  const collapsed = new Set();
  let rows = [];
  let shown = [];
  let extent = extentOf([]);
  let selected;

  const draw = () => {
    const hadFocus = tree.contains(document.activeElement);
    shown = visibleRows(rows, collapsed);
    tree.replaceChildren(...shown.map((row) => rowElement(row, extent, collapsed.has(row.span.spanId))));
    mark(hadFocus);
  };
  const elementOf = (spanId) => tree.children[shown.findIndex(({ span }) => span.spanId === spanId)];
  const mark = (withFocus) => {
    for (const row of tree.querySelectorAll('[aria-selected=true]')) {
      row.setAttribute('aria-selected', 'false');
      row.tabIndex = -1;
    }
    const row = elementOf(selected) ?? tree.firstElementChild;
    if (!row) return;
    row.setAttribute('aria-selected', 'true');
    row.tabIndex = 0;
    if (withFocus) row.focus();
  };
  const select = (spanId, withFocus = true) => {
    selected = spanId;
    mark(withFocus);
    onSelect(spanId);
  };
  const toggle = (spanId) => {
    if (!collapsed.delete(spanId)) collapsed.add(spanId);
    draw();
  };

  tree.addEventListener('click', (event) => {
    const spanId = event.target.closest('[role=treeitem]')?.dataset.span;
    if (spanId === undefined) return;
    if (event.target.closest('.twisty')) toggle(spanId);
    if (shown.some(({ span }) => span.spanId === spanId)) select(spanId);
  });
  tree.addEventListener('keydown', (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const at = shown.findIndex(({ span }) => span.spanId === event.target.dataset?.span);
    const wanted = at === -1 ? undefined : reactionTo(event.key, shown, at, collapsed);
    if (wanted === undefined) return;
    event.preventDefault();
    if (wanted.toggle) toggle(shown[at].span.spanId);
    else if (wanted.row) select(wanted.row.span.spanId);
  });

  return {
    element,
    show(spans) {
      rows = rowsOf(spans);
      extent = extentOf(spans);
      axis.replaceChildren(
        h('span', { class: 'corner' }, 'Span'),
        h('div', { class: 'ticks' }, ...ticksOf(extent)),
      );
      draw();
    },
    /** Marks a span; opens what it is collapsed under, and brings it into sight where that is wanted. */
    reveal(spanId, intoSight) {
      selected = spanId;
      const at = rows.findIndex(({ span }) => span.spanId === spanId);
      if (at !== -1 && elementOf(spanId) === undefined) {
        for (const { span } of ancestorsOf(rows, at)) collapsed.delete(span.spanId);
        draw();
      } else mark(false);
      if (intoSight) elementOf(spanId)?.scrollIntoView({ block: 'center' });
    },
    focus: () => mark(true),
  };
}

/** The rows above a row that it hangs on, the nearest first. */
function ancestorsOf(rows, at) {
  const found = [];
  let depth = rows[at].depth;
  for (let index = at - 1; index >= 0 && depth > 0; index--) {
    if (rows[index].depth >= depth) continue;
    depth = rows[index].depth;
    found.push(rows[index]);
  }
  return found;
}

function reactionTo(key, shown, at, collapsed) {
  const { span, isParent } = shown[at];
  const isOpen = isParent && !collapsed.has(span.spanId);
  switch (key) {
    case 'ArrowDown':
    case 'j':
      return { row: shown[at + 1] };
    case 'ArrowUp':
    case 'k':
      return { row: shown[at - 1] };
    case 'Home':
      return { row: shown[0] };
    case 'End':
      return { row: shown.at(-1) };
    case 'ArrowLeft':
      return isOpen ? { toggle: true } : { row: ancestorsOf(shown, at)[0] };
    case 'ArrowRight':
      return isParent && !isOpen ? { toggle: true } : { row: isParent ? shown[at + 1] : undefined };
    default:
      return undefined;
  }
}

function ticksOf({ length }) {
  return Array.from({ length: TICKS }, (_, index) => {
    const tick = h('span', {}, tickOf((length / TICKS) * index));
    tick.style.left = `${(index / TICKS) * 100}%`;
    return tick;
  }).concat(h('span', { class: 'last' }, tickOf(length)));
}

function rowElement({ span, depth, isParent }, extent, isCollapsed) {
  const { spanId, name, kind, status, error } = span;
  const failed = status === 'error';
  const label = h(
    'div',
    { class: 'label' },
    h('span', { class: 'twisty', 'aria-hidden': 'true' }, isParent ? (isCollapsed ? '▸' : '▾') : ''),
    h('i', { class: `dot ${kind}`, title: kind }),
    h('span', { class: 'name', title: name }, name),
  );
  label.style.paddingLeft = `${depth * INDENT_PX}px`;
  return h(
    'div',
    {
      class: failed ? 'row failed' : 'row',
      role: 'treeitem',
      tabindex: -1,
      'data-span': spanId,
      'aria-level': depth + 1,
      'aria-selected': 'false',
      'aria-expanded': isParent ? String(!isCollapsed) : undefined,
      'aria-label': `${name}, ${kind}, ${durationOf(span.end - span.start)}${failed ? `, failed: ${error ?? 'no reason given'}` : ''}`,
    },
    label,
    h('div', { class: 'track' }, ...barOf(span, extent)),
  );
}

function barOf(span, extent) {
  const { start, end, kind, status, error } = span;
  const from = (start - extent.start) / extent.length;
  const to = (end - extent.start) / extent.length;
  const bar = h('i', { class: `strip ${kind}` });
  bar.style.left = percent(from);
  bar.style.width = percent(to - from);
  const beside = h(
    'span',
    { class: 'beside' },
    h('span', { class: 'took' }, durationOf(end - start)),
    status === 'error' && error !== undefined && h('span', { class: 'why', title: error }, error),
  );
  place(beside, from, to);
  return [bar, beside];
}

/** Puts what is written about a bar where the most room is: behind it, before it, or on a bar that takes nearly all. */
function place(beside, from, to) {
  const room = Math.max(1 - to, from);
  const isInside = room < ROOM && to - from > room;
  if (isInside) beside.classList.add('inside');
  if (isInside || 1 - to >= from) beside.style.left = percent(isInside ? from : to);
  else beside.style.right = percent(1 - from);
  beside.style.maxWidth = percent(isInside ? to - from : room);
}

const percent = (share) => `${share * 100}%`;
