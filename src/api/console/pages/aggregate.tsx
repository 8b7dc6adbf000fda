import { useEffect, useRef, useState } from 'preact/hooks';
import type { Static } from 'typebox';
import type { AggregateCommits, AggregateState, FoundAggregates } from '../../operators/schemas.ts';
import { get, post } from '../api.ts';
import { count, many, shortType, timeText } from '../format.ts';
import { Badge, Due, Empty, Scroll, Table, Time, TraceLink } from '../parts.tsx';
import { go, route } from '../route.ts';
import { textOf } from '../session.ts';

type Found = Static<typeof FoundAggregates>['items'];
type State = Static<typeof AggregateState>;
type Commit = Static<typeof AggregateCommits>['items'][number];

const PAGE = 200;
const ROW = 44;
const BEYOND = 12;

/** One aggregate: its search, and what was found. */
export function Aggregate() {
  const [, category, id] = route.value.path;
  return (
    <>
      <h1>One aggregate</h1>
      <Search />
      {category !== undefined && id !== undefined && (
        <One key={`${category}/${id}`} category={category} id={id} />
      )}
    </>
  );
}

function Search() {
  const [text, setText] = useState('');
  const [found, setFound] = useState<Found | undefined>();
  const [problem, setProblem] = useState('');
  const search = async (event: Event): Promise<void> => {
    event.preventDefault();
    setProblem('');
    try {
      const { items } = await post<{ items: Found }>('/v1/admin/aggregates/find', { text });
      setFound(items);
      const [first] = items;
      if (first !== undefined) go(`/console/aggregate/${first.category}/${encodeURIComponent(first.id)}`);
    } catch (error) {
      setProblem(textOf(error));
    }
  };
  return (
    <>
      <search>
        <form class="search" onSubmit={search}>
          <label class="grow">
            <span class="label">Id, e-mail address, SKU, payment id or external reference</span>
            <input
              type="search"
              value={text}
              required
              onInput={(event) => setText(event.currentTarget.value)}
            />
          </label>
          <button type="submit" class="primary">
            Find
          </button>
        </form>
      </search>
      {problem !== '' && <p role="alert">{problem}</p>}
      {found?.length === 0 && <Empty>Nothing was found.</Empty>}
      {found !== undefined && found.length > 1 && (
        <p>
          Found:{' '}
          {found.map(({ category, id, by }) => (
            <a
              key={category + id}
              class="chip"
              href={`/console/aggregate/${category}/${encodeURIComponent(id)}`}
            >
              {category}/{id.slice(0, 16)} (by {by})
            </a>
          ))}
        </p>
      )}
    </>
  );
}

function One({ category, id }: { readonly category: string; readonly id: string }) {
  const base = `/v1/admin/aggregates/${category}/${encodeURIComponent(id)}`;
  const [commits, setCommits] = useState<readonly Commit[]>([]);
  const [at, setAt] = useState<number | undefined>();
  const [state, setState] = useState<State | undefined>();
  const [problem, setProblem] = useState('');
  useEffect(() => {
    const ended = new AbortController();
    const load = async (): Promise<void> => {
      for (let after: number | undefined = 0; after !== undefined; ) {
        const path = `${base}/commits?after=${after}&limit=${PAGE}`;
        const page: { items: Commit[]; next?: number } = await get(path, ended.signal);
        setCommits((before) => [...before, ...page.items]);
        after = page.next;
      }
    };
    load().catch((error: unknown) => !ended.signal.aborted && setProblem(textOf(error)));
    return () => ended.abort();
  }, [base]);
  // A link may lead to a version, until another one is chosen.
  const asked = Number(route.value.query.get('version')) || undefined;
  const version = at === undefined ? asked : commits[at]?.position;
  useEffect(() => {
    const ended = new AbortController();
    const ask = setTimeout(() => {
      get<State>(version === undefined ? base : `${base}?version=${version}`, ended.signal)
        .then(setState)
        .catch((error: unknown) => !ended.signal.aborted && setProblem(textOf(error)));
    }, 40);
    return () => {
      clearTimeout(ask);
      ended.abort();
    };
  }, [base, version]);
  if (problem !== '') return <p role="alert">{problem}</p>;
  if (state === undefined) return <Empty>Reading the log …</Empty>;
  const found = asked === undefined ? -1 : commits.findIndex(({ position }) => position === asked);
  const chosen = at ?? (found >= 0 ? found : Math.max(0, commits.length - 1));
  return (
    <>
      <h2 class="mono">
        {category}/{id}
      </h2>
      <Waits state={state} />
      <label class="slider">
        <span>
          Commit {count(Math.min(chosen + 1, commits.length))} of {count(commits.length)}, version{' '}
          {count(state.version)}
        </span>
        <input
          type="range"
          min={0}
          max={Math.max(0, commits.length - 1)}
          value={chosen}
          aria-valuetext={`version ${state.version}`}
          onInput={(event) => setAt(Number(event.currentTarget.value))}
        />
      </label>
      <div class="columns">
        <Timeline commits={commits} chosen={chosen} choose={setAt} />
        <div>
          <Changes state={state} />
          <Details commit={commits[chosen]} />
          <h3>State at version {count(state.version)}</h3>
          <Scroll label="State">
            <pre class="json">{JSON.stringify(state.state, null, 2)}</pre>
          </Scroll>
        </div>
      </div>
    </>
  );
}

function Waits({ state: { waitsFor, timers, underWay } }: { readonly state: State }) {
  const stuck = new Set(waitsFor.map(({ consumer, position }) => `${consumer}/${position}`));
  const tried = underWay.filter(({ consumer, position }) => !stuck.has(`${consumer}/${position}`));
  if (waitsFor.length + timers.length + tried.length === 0)
    return (
      <p>
        <Badge tone="good">Waits for nothing.</Badge>
      </p>
    );
  return (
    <ul class="plain" aria-label="Waits for">
      {waitsFor.map(({ consumer, position, error, requested }) => (
        <li key={`${consumer}${position}`}>
          <Badge tone={requested === undefined ? 'bad' : 'warn'}>
            {consumer} could not handle {count(position)}
          </Badge>{' '}
          {error ?? 'It waits behind an earlier one.'} {requested && `(${requested} is asked for)`}
        </li>
      ))}
      {tried.map(({ consumer, position, since }) => (
        <li key={`${consumer}${position}`}>
          <Badge tone="plain">
            {consumer} is at {count(position)}
          </Badge>{' '}
          since <Time at={since} />
        </li>
      ))}
      {timers.map(({ kind, at }) => (
        <li key={kind}>
          <Badge tone="plain">timer {kind}</Badge> <Due at={at} />
        </li>
      ))}
    </ul>
  );
}

/** All commits, of which only those in sight are in the page: thousands stay quick. */
function Timeline({
  commits,
  chosen,
  choose,
}: {
  readonly commits: readonly Commit[];
  readonly chosen: number;
  readonly choose: (at: number) => void;
}) {
  const box = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const height = box.current?.clientHeight ?? 600;
  const first = Math.max(0, Math.floor(top / ROW) - BEYOND);
  const last = Math.min(commits.length, Math.ceil((top + height) / ROW) + BEYOND);
  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const place = chosen * ROW;
    if (place < element.scrollTop || place + ROW > element.scrollTop + element.clientHeight)
      element.scrollTop = place - element.clientHeight / 2;
  }, [chosen]);
  const key = (event: KeyboardEvent): void => {
    const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
    if (step === 0) return;
    event.preventDefault();
    choose(Math.min(commits.length - 1, Math.max(0, chosen + step)));
  };
  const click = ({ target }: MouseEvent): void => {
    const option = target instanceof Element ? target.closest<HTMLElement>('[data-at]') : null;
    if (option !== null) choose(Number(option.dataset.at));
  };
  const pad = (rows: number) => <svg class="pad" width="1" height={rows * ROW} aria-hidden="true" />;
  return (
    <div
      ref={box}
      class="timeline"
      role="listbox"
      tabIndex={0}
      aria-label={many(commits.length, 'commit')}
      aria-activedescendant={`commit-${chosen}`}
      onKeyDown={key}
      onClick={click}
      onScroll={(event) => setTop(event.currentTarget.scrollTop)}
    >
      {pad(first)}
      {commits.slice(first, last).map((commit, index) => {
        const at = first + index;
        const types = commit.decisions.flatMap(({ events }) => events.map(({ type }) => shortType(type)));
        return (
          <div
            key={commit.position}
            tabIndex={-1}
            id={`commit-${at}`}
            role="option"
            aria-selected={at === chosen}
            aria-posinset={at + 1}
            aria-setsize={commits.length}
            data-at={at}
          >
            <strong>{types.join(', ') || 'a message of somebody else'}</strong>
            <span>
              {commit.decisions[0] && timeText(commit.decisions[0].time)} · {count(commit.position)}
            </span>
          </div>
        );
      })}
      {pad(commits.length - last)}
    </div>
  );
}

const shown = (value: unknown): string => (value === undefined ? '—' : JSON.stringify(value));

function Changes({ state: { changes } }: { readonly state: State }) {
  return (
    <>
      <h3>What this commit changed</h3>
      {changes.length === 0 ? (
        <Empty>Nothing of the state.</Empty>
      ) : (
        <Table label="Changes" names={['Field', 'Before', 'After']}>
          {changes.map(({ path, before, after }) => (
            <tr key={path}>
              <th scope="row" class="mono">
                {path}
              </th>
              <td>
                <del>{shown(before)}</del>
              </td>
              <td>
                <ins>{shown(after)}</ins>
              </td>
            </tr>
          ))}
        </Table>
      )}
    </>
  );
}

function Details({ commit }: { readonly commit: Commit | undefined }) {
  if (commit === undefined) return null;
  return (
    <>
      <h3>Decided by</h3>
      {commit.decisions.map(({ time, actor, commandId, correlationId, traceId, events }) => (
        <dl key={commandId} class="facts">
          <dt>When</dt>
          <dd>
            {timeText(time)} (<Time at={time} />)
          </dd>
          <dt>Who</dt>
          <dd>{actor}</dd>
          <dt>Command</dt>
          <dd class="mono">{commandId}</dd>
          <dt>Request</dt>
          <dd class="mono">{correlationId}</dd>
          <dt>Trace</dt>
          <dd class="mono">
            <TraceLink traceId={traceId} />
          </dd>
          {events.map(({ type, payload }, at) => (
            <>
              <dt>{at === 0 ? 'Events' : ''}</dt>
              <dd>
                <details>
                  <summary>{shortType(type)}</summary>
                  <pre class="json">{JSON.stringify(payload, null, 2)}</pre>
                </details>
              </dd>
            </>
          ))}
        </dl>
      ))}
    </>
  );
}
