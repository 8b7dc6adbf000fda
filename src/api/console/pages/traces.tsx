import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import type { TraceSpan, TraceSummary } from '../../operators/trace-schemas.ts';
import { get, traces } from '../api.ts';
import { clock, count, duration, many } from '../format.ts';
import { Badge, Empty, Table, TraceLink } from '../parts.tsx';
import { go, route } from '../route.ts';
import { settings, textOf } from '../session.ts';
import { extentOf, failuresOf } from '../spans.ts';
import { Waterfall } from './waterfall.tsx';

const MOST_FAILURES = 3;
const NAMES = ['Time', 'Trace', 'Answer', 'What failed', 'Duration', 'Spans', 'Took part'];

/** The last traces, or one of them with its waterfall. */
export function Traces() {
  const [, traceId] = route.value.path;
  return traceId === undefined ? <List /> : <One key={traceId} traceId={traceId} />;
}

function List() {
  const { query } = route.value;
  const text = query.get('q') ?? '';
  const failedOnly = query.has('failed');
  const [held, setHeld] = useState<readonly TraceSummary[] | undefined>();
  const filter = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const toFilter = (event: KeyboardEvent): void => {
      if (event.key !== '/' || event.target instanceof HTMLInputElement) return;
      event.preventDefault();
      filter.current?.focus();
    };
    addEventListener('keydown', toFilter);
    return () => removeEventListener('keydown', toFilter);
  }, []);
  const change = (q: string, failed: boolean): void => {
    const next = new URLSearchParams({ ...(q !== '' && { q }), ...(failed && { failed: '1' }) });
    go(`/console/traces${next.size > 0 ? `?${next}` : ''}`, true);
  };
  const all = held ?? traces.value;
  if (settings.value?.traces !== true) return <Elsewhere />;
  if (all === undefined) return <Empty>Looking …</Empty>;
  const shown = all.filter((trace) => (!failedOnly || trace.error) && matches(trace, text));
  return (
    <>
      <h1>Traces</h1>
      <search class="search">
        <label class="grow">
          <span class="label">Name, id, step or reason</span>
          <input
            ref={filter}
            type="search"
            value={text}
            onInput={(event) => change(event.currentTarget.value, failedOnly)}
          />
        </label>
        <label class="check">
          <input type="checkbox" checked={failedOnly} onChange={() => change(text, !failedOnly)} /> only
          failed
        </label>
        <button
          type="button"
          aria-pressed={held !== undefined}
          onClick={() => setHeld(held === undefined ? all : undefined)}
        >
          {held === undefined ? 'Pause' : `Go on, ${count(newer(held))} newer`}
        </button>
      </search>
      {shown.length === 0 ? (
        <Empty>{all.length > 0 ? 'No trace matches.' : 'There are none yet: each request makes one.'}</Empty>
      ) : (
        <Table label={many(shown.length, 'trace')} names={NAMES}>
          {shown.map((trace) => (
            <Line key={trace.traceId} trace={trace} />
          ))}
        </Table>
      )}
    </>
  );
}

function newer(held: readonly TraceSummary[]): number {
  const known = new Set(held.map(({ traceId }) => traceId));
  return (traces.value ?? []).filter(({ traceId }) => !known.has(traceId)).length;
}

function Elsewhere() {
  return (
    <>
      <h1>Traces</h1>
      <Empty>
        This process keeps none: tracing.devTraces says how many are kept in memory.
        {settings.value?.traceUrl !== '' && ' Commits and dead letters link with your store of traces.'}
      </Empty>
    </>
  );
}

/** Every word has to occur somewhere. */
function matches({ traceId, name, answer = '', failed, parts, ids }: TraceSummary, text: string): boolean {
  const all = [traceId, name, answer, failed?.name ?? '', failed?.reason ?? '', ...parts, ...ids];
  const hay = all.join('\n').toLowerCase();
  return text
    .toLowerCase()
    .split(/\s+/)
    .every((word) => hay.includes(word));
}

function Line({ trace }: { readonly trace: TraceSummary }) {
  const { traceId, name, answer = '', start, durationMs, spans, omitted, failed, parts } = trace;
  return (
    <tr class={trace.error ? 'failed' : ''}>
      <td class="mono">{clock(start)}</td>
      <th scope="row">
        <a href={`/console/traces/${traceId}`}>{name || '(no name)'}</a>
      </th>
      <td>{answer !== '' && <Badge tone={toneOf(answer)}>{answer}</Badge>}</td>
      <td class="message">
        {failed !== undefined && <strong class="step">{failed.name}</strong>} {failed?.reason}
      </td>
      <td class="number">{duration(durationMs)}</td>
      <td class="number">{omitted > 0 ? `${spans} + ${omitted}` : spans}</td>
      <td class="faint">{parts.join(' · ')}</td>
    </tr>
  );
}

const toneOf = (answer: string) =>
  answer.startsWith('5') ? 'bad' : answer.startsWith('4') ? 'warn' : 'plain';

function One({ traceId }: { readonly traceId: string }) {
  const [spans, setSpans] = useState<readonly TraceSpan[]>([]);
  const [problem, setProblem] = useState('');
  const [chosen, setChosen] = useState(location.hash.slice(1));
  // Its later steps come while it is looked at.
  const known = traces.value?.find((trace) => trace.traceId === traceId)?.spans;
  useEffect(() => {
    const ended = new AbortController();
    get<{ spans: TraceSpan[] }>(`/v1/admin/traces/${encodeURIComponent(traceId)}`, ended.signal)
      .then((body) => {
        setSpans(body.spans);
        setProblem('');
      })
      .catch((error: unknown) => !ended.signal.aborted && setProblem(textOf(error)));
    return () => ended.abort();
  }, [traceId, known]);
  useEffect(() => {
    const back = (event: KeyboardEvent): void => {
      if (event.key === 'Escape') go('/console/traces');
    };
    addEventListener('keydown', back);
    return () => removeEventListener('keydown', back);
  }, []);
  if (problem !== '' && spans.length === 0) return <Missing traceId={traceId} problem={problem} />;
  const failures = failuresOf(spans);
  const span = spans.find(({ spanId }) => spanId === chosen) ?? failures[0] ?? spans[0];
  if (span === undefined) return <Empty>Looking …</Empty>;
  const choose = (spanId: string): void => {
    setChosen(spanId);
    history.replaceState(null, '', `#${spanId}`);
  };
  return (
    <>
      <Head traceId={traceId} spans={spans} />
      {failures.slice(0, MOST_FAILURES).map(({ spanId, name, error, attributes }) => (
        <p key={spanId} class="failure">
          <button type="button" class="link" onClick={() => choose(spanId)}>
            {name}
          </button>{' '}
          failed: {error ?? 'no reason given'} <code>{String(attributes['jetledger.reason'] ?? '')}</code>
        </p>
      ))}
      {failures.length > MOST_FAILURES && <p>and {failures.length - MOST_FAILURES} more that failed</p>}
      <div class="split">
        <Waterfall spans={spans} chosen={span.spanId} choose={choose} />
        <Detail span={span} traceId={traceId} spans={spans} choose={choose} />
      </div>
    </>
  );
}

function Missing({ traceId, problem }: { readonly traceId: string; readonly problem: string }) {
  const elsewhere = settings.value?.traceUrl ?? '';
  return (
    <>
      <h1>Trace</h1>
      <p role="alert">{problem}</p>
      <p>
        <a href="/console/traces">The last traces</a>{' '}
        {elsewhere !== '' && <TraceLink traceId={traceId} elsewhere />}
      </p>
    </>
  );
}

function Head({ traceId, spans }: { readonly traceId: string; readonly spans: readonly TraceSpan[] }) {
  const { start, length } = extentOf(spans);
  const first = spans.find(({ parentSpanId }) => parentSpanId === undefined) ?? spans[0];
  return (
    <>
      <h1>
        <a href="/console/traces" title="The last traces (Escape)">
          Traces
        </a>{' '}
        / {first?.name}
      </h1>
      <p class="faint">
        {clock(start)} · {duration(length)} · {many(spans.length, 'span')} ·{' '}
        <span class="mono">{traceId}</span>
      </p>
    </>
  );
}

function Detail({
  span,
  traceId,
  spans,
  choose,
}: {
  readonly span: TraceSpan;
  readonly traceId: string;
  readonly spans: readonly TraceSpan[];
  readonly choose: (spanId: string) => void;
}) {
  const { name, kind, status, error, start, end, parentSpanId, attributes, events, links } = span;
  const begin = extentOf(spans).start;
  const inTrace = (spanId: string) => <SpanLink spanId={spanId} spans={spans} choose={choose} />;
  return (
    <aside aria-label="The chosen span">
      <h2>{name}</h2>
      <p>
        <Badge tone={status === 'error' ? 'bad' : 'plain'}>{status === 'error' ? 'failed' : kind}</Badge>
      </p>
      {status === 'error' && <p class="error">{error ?? 'It failed and gave no reason.'}</p>}
      <dl class="facts">
        <Fact name="Began">
          {clock(start)} (+{duration(start - begin)})
        </Fact>
        <Fact name="Took">{duration(end - start)}</Fact>
        <Fact name="Kind">{kind}</Fact>
        {parentSpanId !== undefined && <Fact name="Below">{inTrace(parentSpanId)}</Fact>}
        {links.map((link) => (
          <Fact key={link.traceId + link.spanId} name="Link">
            {link.traceId === traceId ? (
              inTrace(link.spanId)
            ) : (
              <a class="mono" href={`/console/traces/${encodeURIComponent(link.traceId)}#${link.spanId}`}>
                {link.traceId}
              </a>
            )}
          </Fact>
        ))}
      </dl>
      <Values values={attributes} />
      {events.map((event) => (
        <section key={`${event.name}${event.time}`}>
          <h3>
            {event.name} <span class="faint">+{duration(event.time - begin)}</span>
          </h3>
          <Values values={event.attributes} />
        </section>
      ))}
    </aside>
  );
}

function Fact({ name, children }: { readonly name: string; readonly children: ComponentChildren }) {
  return (
    <>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </>
  );
}

function SpanLink({
  spanId,
  spans,
  choose,
}: {
  readonly spanId: string;
  readonly spans: readonly TraceSpan[];
  readonly choose: (spanId: string) => void;
}) {
  const known = spans.find((span) => span.spanId === spanId);
  if (known === undefined) return <span class="faint">{spanId} (not here)</span>;
  return (
    <button type="button" class="link" onClick={() => choose(spanId)}>
      {known.name}
    </button>
  );
}

function Values({ values }: { readonly values: Readonly<Record<string, unknown>> }) {
  return (
    <table class="values">
      <tbody>
        {Object.entries(values)
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .map(([name, value]) => (
            <tr key={name}>
              <th scope="row">{name}</th>
              <td>{Array.isArray(value) ? value.map(String).join(', ') : String(value)}</td>
            </tr>
          ))}
      </tbody>
    </table>
  );
}
