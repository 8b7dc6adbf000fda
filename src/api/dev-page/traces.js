import { byId, isTyping } from './dom.js';
import { count } from './format.js';
import { createList } from './list.js';
import { createTraceView } from './trace-view.js';

const EVERY_MS = 2_000;
const MAX_TRACES = 1_000;
const filter = byId('filter');
const failedOnly = byId('failed-only');
const live = byId('live');
const told = byId('told');

const list = createList();
const view = createTraceView((spanId) => history.replaceState(null, '', `${location.pathname}#${spanId}`));
let traces = [];
let last;
// Answers of a page that was left come too late.
let visit = 0;

/** The trace of the address: /dev/traces/<id>, or /dev/traces?trace=<id>. */
function traceOfAddress() {
  const given = new URLSearchParams(location.search).get('trace');
  return given ?? location.pathname.split('/')[3];
}

const spanOfAddress = () => location.hash.slice(1);

async function load(path) {
  const response = await fetch(path, { headers: { accept: 'application/json' } });
  const body = await response.json();
  return response.ok ? { body } : { missing: body.detail ?? body.title };
}

async function refresh() {
  const mine = visit;
  const traceId = traceOfAddress();
  try {
    const path =
      traceId === undefined
        ? `/dev/traces.json?limit=${MAX_TRACES}`
        : `/dev/traces/${encodeURIComponent(traceId)}.json`;
    const { body, missing } = await load(path);
    if (mine !== visit) return;
    document.body.classList.remove('away');
    if (traceId === undefined) {
      traces = body.traces;
      showList();
    } else if (missing !== undefined) {
      told.textContent = '';
      view.miss(missing);
    } else {
      told.textContent = '';
      view.show(body, spanOfAddress());
    }
  } catch {
    if (mine !== visit) return;
    document.body.classList.add('away');
    told.textContent = 'The service does not answer.';
  }
}

function showList() {
  const shown = list.show(traces, { text: filter.value, failedOnly: failedOnly.checked });
  const failed = traces.filter(({ error }) => error).length;
  const all =
    shown === traces.length ? count(shown, 'trace') : `${shown} of ${count(traces.length, 'trace')}`;
  told.textContent = `${all}, ${failed} failed`;
}

/** Shows what the address says. */
async function open() {
  visit++;
  const traceId = traceOfAddress();
  byId('list').hidden = traceId !== undefined;
  byId('trace').hidden = traceId === undefined;
  byId('filters').hidden = traceId !== undefined;
  document.title = traceId === undefined ? 'Traces · JetLedger' : `Trace ${traceId.slice(0, 8)} · JetLedger`;
  if (traceId === undefined) {
    const query = new URLSearchParams(location.search);
    filter.value = query.get('q') ?? '';
    failedOnly.checked = query.has('failed');
  }
  await refresh();
  if (traceId === undefined && last !== undefined) list.focus(last);
  last = traceId;
}

function go(href) {
  const target = new URL(href, location.href);
  const isSameTrace = target.pathname === location.pathname && target.hash !== '';
  history.pushState(null, '', target);
  if (isSameTrace) view.choose(spanOfAddress());
  else void open();
}

document.addEventListener('click', (event) => {
  const link = event.target.closest?.('a[href^="/dev/traces"]');
  if (!link || 'plain' in link.dataset) return;
  if (event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  go(link.href);
});

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const inTrace = traceOfAddress() !== undefined;
  if (event.key === 'Escape' && inTrace) go('/dev/traces');
  else if (event.key === '/' && !inTrace && !isTyping(event)) {
    event.preventDefault();
    filter.focus();
  } else if (event.key === 'ArrowDown' && event.target === filter) list.focus();
});

function changeFilter() {
  const query = new URLSearchParams();
  if (filter.value !== '') query.set('q', filter.value);
  if (failedOnly.checked) query.set('failed', '1');
  history.replaceState(null, '', query.size > 0 ? `/dev/traces?${query}` : '/dev/traces');
  showList();
}
filter.addEventListener('input', changeFilter);
failedOnly.addEventListener('change', changeFilter);

const isLive = () => live.getAttribute('aria-pressed') === 'true';
live.addEventListener('click', () => {
  live.setAttribute('aria-pressed', String(!isLive()));
  live.querySelector('span').textContent = isLive() ? 'Live' : 'Paused';
  if (isLive()) void refresh();
});

addEventListener('popstate', () => void open());
document.addEventListener('visibilitychange', () => {
  if (!document.hidden && isLive()) void refresh();
});

async function keepFresh() {
  if (isLive() && !document.hidden) await refresh();
  setTimeout(keepFresh, EVERY_MS);
}

void open();
setTimeout(keepFresh, EVERY_MS);
