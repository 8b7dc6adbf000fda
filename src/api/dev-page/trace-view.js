import { detailOf } from './detail.js';
import { byId, h } from './dom.js';
import { count, durationOf, momentOf } from './format.js';
import { extentOf, failuresOf } from './tree.js';
import { createWaterfall } from './waterfall.js';

const KINDS = ['server', 'producer', 'consumer', 'internal', 'client'];
const MAX_FAILURES = 3;

/**
 * One trace: what failed, its waterfall and the span that is chosen.
 * @param onSelect gets the id of a span that the user chose
 */
export function createTraceView(onSelect) {
  const root = byId('trace');
  const head = h('div', { class: 'head' });
  const pane = h('aside', { class: 'detail', tabindex: 0, 'aria-label': 'The chosen span' });
  const split = h('div', { class: 'split' });
  let trace;
  let text = '';

  const detail = (spanId) => {
    const span = trace.spans.find((each) => each.spanId === spanId);
    if (span === undefined) return;
    pane.replaceChildren(...detailOf(span, trace.traceId, extentOf(trace.spans).start, trace.spans));
  };
  const waterfall = createWaterfall((spanId) => {
    detail(spanId);
    onSelect(spanId);
  });

  split.append(waterfall.element, pane);

  return {
    /** @param chosen id of a span; by default where it failed, else its first one */
    show(next, chosen) {
      const seen = JSON.stringify(next);
      const isNew = trace?.traceId !== next.traceId;
      if (seen === text && root.contains(head)) return;
      text = seen;
      trace = next;
      const failures = failuresOf(trace.spans);
      head.replaceChildren(...headOf(trace, failures));
      // What is in the page already stays there, and keeps how far it is scrolled.
      if (!root.contains(split)) root.replaceChildren(head, split);
      waterfall.show(trace.spans);
      const spanId = trace.spans.some((span) => span.spanId === chosen)
        ? chosen
        : (failures[0] ?? trace.spans[0])?.spanId;
      waterfall.reveal(spanId, isNew);
      detail(spanId);
      if (isNew) waterfall.focus();
    },
    choose(spanId) {
      if (!trace?.spans.some((span) => span.spanId === spanId)) return;
      waterfall.reveal(spanId, true);
      detail(spanId);
    },
    /** Says why there is none. */
    miss(reason) {
      text = '';
      trace = undefined;
      root.replaceChildren(
        h('p', { class: 'empty' }, reason, ' ', h('a', { href: '/dev/traces' }, 'The last traces')),
      );
    },
  };
}

function headOf({ traceId, spans }, failures) {
  const { start, length } = extentOf(spans);
  const name = spans.find(({ parentSpanId }) => parentSpanId === undefined)?.name ?? spans[0]?.name ?? '';
  const more = failures.length - MAX_FAILURES;
  return [
    h(
      'div',
      { class: 'title' },
      h('a', { class: 'back', href: '/dev/traces', title: 'The last traces (Escape)' }, '←'),
      h('h1', {}, name),
      h(
        'span',
        { class: 'facts' },
        `${momentOf(start)} · ${durationOf(length)} · ${count(spans.length, 'span')}`,
      ),
      h(
        'a',
        { class: 'id', href: `/dev/traces/${traceId}.json`, 'data-plain': true, title: 'As data' },
        traceId,
      ),
      h('span', { class: 'legend', 'aria-hidden': 'true' }, ...KINDS.map(legendOf)),
    ),
    ...failures.slice(0, MAX_FAILURES).map((span) => failureOf(span, traceId)),
    more > 0 && h('p', { class: 'failure' }, `and ${more} more that failed`),
  ].filter((part) => part !== false);
}

const legendOf = (kind) => h('span', {}, h('i', { class: `dot ${kind}` }), kind);

function failureOf({ spanId, name, error, attributes }, traceId) {
  const reason = attributes['jetledger.reason'];
  return h(
    'p',
    { class: 'failure' },
    h(
      'span',
      { title: error },
      h('a', { href: `/dev/traces/${traceId}#${spanId}` }, name),
      ` failed: ${error ?? 'no reason given'}`,
    ),
    reason !== undefined && h('code', {}, reason),
  );
}
