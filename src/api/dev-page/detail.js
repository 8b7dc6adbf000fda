import { h } from './dom.js';
import { count, durationOf, momentOf, textOf } from './format.js';

/**
 * Everything that is known of a span.
 * @param traceStart when its trace began
 * @param spans all of its trace, for the names of those it is linked with
 */
export function detailOf(span, traceId, traceStart, spans) {
  const { name, kind, status, error, start, end, spanId, parentSpanId, attributes, events, links } = span;
  return [
    h('h2', {}, name),
    h(
      'p',
      { class: 'pills' },
      h('span', { class: `kind ${kind}` }, kind),
      status !== 'unset' && h('span', { class: `pill ${status}` }, status === 'error' ? 'failed' : 'ok'),
    ),
    status === 'error' && h('p', { class: 'error', role: 'note' }, error ?? 'It failed and gave no reason.'),
    h(
      'dl',
      {},
      pair('began', momentOf(start), ` (+${durationOf(start - traceStart)})`),
      pair('took', durationOf(end - start)),
      pair('span', spanId),
      parentSpanId !== undefined && pair('parent', spanLink(traceId, parentSpanId, spans)),
    ),
    section(count(Object.keys(attributes).length, 'attribute'), table(attributes)),
    events.length > 0 &&
      section(
        count(events.length, 'event'),
        ...events.map((event) =>
          h(
            'div',
            { class: 'event' },
            h('h4', {}, event.name, h('small', {}, ` +${durationOf(event.time - traceStart)}`)),
            table(event.attributes),
          ),
        ),
      ),
    links.length > 0 &&
      section(
        count(links.length, 'link'),
        h('ul', {}, ...links.map((link) => linkItem(link, traceId, spans))),
      ),
  ].filter((part) => part !== false);
}

const section = (title, ...content) => h('section', {}, h('h3', {}, title), ...content);
const pair = (term, ...values) => h('div', {}, h('dt', {}, term), h('dd', {}, ...values));

function table(values) {
  const names = Object.keys(values).sort();
  return h(
    'table',
    { class: 'values' },
    h(
      'tbody',
      {},
      ...names.map((name) =>
        h(
          'tr',
          {},
          h('th', { scope: 'row' }, name),
          h('td', { class: typeof values[name] }, textOf(values[name])),
        ),
      ),
    ),
  );
}

function linkItem(link, traceId, spans) {
  const here = link.traceId === traceId;
  return h(
    'li',
    {},
    here ? 'this trace: ' : 'trace ',
    here ? '' : traceLink(link),
    here ? spanLink(traceId, link.spanId, spans) : '',
  );
}

const traceLink = ({ traceId, spanId }) =>
  h('a', { href: `/dev/traces/${traceId}#${spanId}`, class: 'other' }, traceId);

function spanLink(traceId, spanId, spans) {
  const known = spans.find((span) => span.spanId === spanId);
  if (known === undefined) return h('span', { class: 'away' }, `${spanId} (not here)`);
  return h('a', { href: `/dev/traces/${traceId}#${spanId}` }, known.name);
}
