import { byId, h } from './dom.js';
import { count, durationOf, momentOf, timeOf } from './format.js';

/** The list of the last traces; rows that did not change stay the elements they were, so that focus stays too. */
export function createList() {
  const body = byId('rows');
  const empty = byId('empty');
  const rows = new Map();

  const rowOf = (trace, longest) => {
    const seen = JSON.stringify([trace, longest]);
    const known = rows.get(trace.traceId);
    if (known?.seen === seen) return known.element;
    const element = makeRow(trace, longest);
    if (known?.element.contains(document.activeElement)) {
      known.element.replaceWith(element);
      element.querySelector('a').focus({ preventScroll: true });
    } else known?.element.remove();
    rows.set(trace.traceId, { seen, element });
    return element;
  };

  body.addEventListener('click', (event) => {
    // The whole row leads where its link does; a selection of its text does not.
    if (event.target.closest('a') || String(getSelection()) !== '') return;
    event.target.closest('tr')?.querySelector('a').click();
  });
  body.addEventListener('keydown', (event) => {
    const row = event.target.closest('tr');
    const step = { ArrowDown: 'nextElementSibling', ArrowUp: 'previousElementSibling' }[event.key];
    const target = step === undefined ? endOf(body, event.key) : row?.[step];
    if (!target) return;
    event.preventDefault();
    target.querySelector('a').focus();
  });

  return {
    /** @returns how many are shown */
    show(traces, { text, failedOnly }) {
      const wanted = traces.filter((trace) => (!failedOnly || trace.error) && matches(trace, text));
      const longest = Math.max(1, ...wanted.map(({ durationMs }) => durationMs));
      const ids = new Set(wanted.map(({ traceId }) => traceId));
      for (const [id, { element }] of rows) {
        if (ids.has(id)) continue;
        element.remove();
        rows.delete(id);
      }
      wanted.forEach((trace, index) => {
        const element = rowOf(trace, longest);
        if (body.children[index] !== element) body.insertBefore(element, body.children[index] ?? null);
      });
      empty.hidden = wanted.length > 0;
      empty.textContent = traces.length > 0 ? 'No trace matches.' : NOTHING;
      return wanted.length;
    },
    /** Puts the focus on a trace's row, or the first one. */
    focus(traceId) {
      const row = rows.get(traceId)?.element ?? body.firstElementChild;
      row?.querySelector('a').focus();
    },
  };
}

const NOTHING =
  'No traces yet. Every request to the API makes one; this page and the health checks make none.';

function endOf(body, key) {
  if (key === 'Home') return body.firstElementChild;
  return key === 'End' ? body.lastElementChild : undefined;
}

/** Every word has to occur somewhere. */
function matches(trace, text) {
  const { traceId, name, answer = '', failed, parts, ids } = trace;
  const all = [traceId, name, answer, failed?.name ?? '', failed?.reason ?? '', ...parts, ...ids];
  const hay = all.join('\n').toLowerCase();
  return text
    .toLowerCase()
    .split(/\s+/)
    .every((word) => hay.includes(word));
}

function makeRow(trace, longest) {
  const { traceId, name, answer = '', start, durationMs, spans, omitted, error, failed, parts } = trace;
  const fill = h('i', { class: 'fill' });
  fill.style.width = `${(durationMs / longest) * 100}%`;
  return h(
    'tr',
    { class: error ? 'failed' : undefined, 'data-trace': traceId },
    h('td', { class: 'time', title: momentOf(start) }, timeOf(start)),
    h('td', { class: 'name' }, h('a', { href: `/dev/traces/${traceId}` }, name || '(no name)')),
    h('td', { class: `answer ${classOfAnswer(answer)}` }, answer),
    h(
      'td',
      { class: 'reason' },
      failed && h('b', { class: 'step' }, failed.name),
      failed?.reason && ` ${failed.reason}`,
    ),
    h('td', { class: 'number duration' }, h('span', {}, durationOf(durationMs)), fill),
    h(
      'td',
      { class: 'number', title: omitted > 0 ? `${omitted} more were left out` : undefined },
      spansOf(trace),
    ),
    h('td', { class: 'parts', title: `${count(spans, 'span')}: ${parts.join(', ')}` }, parts.join(' · ')),
  );
}

const spansOf = ({ spans, omitted }) => (omitted > 0 ? `${spans} + ${omitted}` : spans);

function classOfAnswer(answer) {
  if (answer.startsWith('5')) return 'bad';
  return answer.startsWith('4') ? 'refused' : '';
}
