import { useEffect, useRef, useState } from 'preact/hooks';
import type { LogPart } from '../../operators/ports.ts';
import { keepReading } from '../api.ts';
import { clock, count, shortId, shortType } from '../format.ts';
import { Badge, Empty, Table, TraceLink } from '../parts.tsx';
import { go, route } from '../route.ts';

type Commit = LogPart['commits'][number];

/** More lines are not kept: what lies further back is on the page of its aggregate. */
const MOST_LINES = 500;
const FILTERS = [
  ['category', 'Category'],
  ['type', 'Type of event'],
  ['id', 'Id'],
  ['actor', 'Who'],
] as const;
const NAMES = ['Time', 'Position', 'Aggregate', 'Events', 'Who', 'Trace'];

/** The log as it grows; the address holds the filters. */
export function LogPage() {
  const { query } = route.value;
  const [isPaused, setPaused] = useState(false);
  const filter = new URLSearchParams();
  for (const [name] of FILTERS) {
    const value = query.get(name) ?? '';
    if (value !== '') filter.set(name, value);
  }
  const { lines, omitted, away } = useLines(filter.toString(), isPaused);
  return (
    <>
      <h1>Log</h1>
      <Filters key={filter.toString()} filter={filter} />
      <p class="actions">
        <button type="button" aria-pressed={isPaused} onClick={() => setPaused(!isPaused)}>
          {isPaused ? 'Go on' : 'Pause'}
        </button>
        {isPaused && <Badge tone="warn">paused: nothing is read meanwhile</Badge>}
        {!isPaused && away !== '' && <Badge tone="warn">{away}</Badge>}
        {omitted > 0 && (
          <Badge tone="warn">{count(omitted)} left out: they came faster than they can be shown</Badge>
        )}
      </p>
      {lines.length === 0 ? (
        <Empty>None of the last 1,000 commits fits. What fits is shown as it comes.</Empty>
      ) : (
        <Table label="Commits, newest first" names={NAMES}>
          {lines.map((commit) => (
            <Line key={commit.position} commit={commit} />
          ))}
        </Table>
      )}
    </>
  );
}

/** The newest lines first, while it is not paused; then from where it was left. */
function useLines(filter: string, isPaused: boolean) {
  const [lines, setLines] = useState<readonly Commit[]>([]);
  const [omitted, setOmitted] = useState(0);
  const [away, setAway] = useState('');
  const newest = useRef(0);
  useEffect(() => {
    setLines([]);
    setOmitted(0);
    newest.current = 0;
  }, [filter]);
  useEffect(() => {
    if (isPaused) return;
    const ended = new AbortController();
    const path = (): string =>
      `/v1/admin/log?${new URLSearchParams(filter)}&last=${MOST_LINES}${newest.current > 0 ? `&after=${newest.current}` : ''}`;
    const take = (event: string, data: string): void => {
      setAway('');
      if (event === 'omitted') setOmitted((before) => before + JSON.parse(data).count);
      if (event !== 'commit') return;
      const commit = JSON.parse(data) as Commit;
      newest.current = commit.position;
      setLines((before) => [commit, ...before].slice(0, MOST_LINES));
    };
    void keepReading(path, ended.signal, take, setAway);
    return () => ended.abort();
  }, [filter, isPaused]);
  return { lines, omitted, away };
}

function Filters({ filter }: { readonly filter: URLSearchParams }) {
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    const form = event.currentTarget;
    if (!(form instanceof HTMLFormElement)) return;
    const next = new URLSearchParams();
    for (const [name, value] of new FormData(form))
      if (typeof value === 'string' && value.trim() !== '') next.set(name, value.trim());
    go(`/console/log${next.size > 0 ? `?${next}` : ''}`);
  };
  return (
    <search>
      <form class="search wide" onSubmit={submit}>
        {FILTERS.map(([name, title]) => (
          <label key={name} class="field">
            <span class="label">{title}</span>
            <input name={name} defaultValue={filter.get(name) ?? ''} autocomplete="off" spellcheck={false} />
          </label>
        ))}
        <button type="submit">Filter</button>
      </form>
    </search>
  );
}

function Line({ commit: { position, category, id, decisions } }: { readonly commit: Commit }) {
  const [first] = decisions;
  const events = decisions.flatMap((decision) => decision.events);
  const actors = [...new Set(decisions.map(({ actor }) => actor))];
  return (
    <tr>
      <td class="mono">{first === undefined ? '—' : clock(Date.parse(first.time))}</td>
      <td class="number">{count(position)}</td>
      <th scope="row">
        <a
          href={`/console/aggregate/${category}/${encodeURIComponent(id)}?version=${position}`}
          title={`${category}/${id} at this version`}
        >
          {category}/{shortId(id)}
        </a>
      </th>
      <td>
        {events.length === 0 && 'cannot be read'}
        {events.map(({ type, payload }, at) => (
          <details key={`${type}${at}`}>
            <summary>{shortType(type)}</summary>
            <pre class="json">{JSON.stringify(payload, null, 2)}</pre>
          </details>
        ))}
      </td>
      <td>{actors.join(', ')}</td>
      <td class="mono">
        <TraceLink traceId={first?.traceId ?? ''} />
      </td>
    </tr>
  );
}
