import { useEffect, useState } from 'preact/hooks';
import type { AdminRequestBody } from '../../operators/schemas.ts';
import { get, requests } from '../api.ts';
import { count, shortId } from '../format.ts';
import { AggregateLink, Empty, Outcome, Table, Time } from '../parts.tsx';
import { go, route } from '../route.ts';
import { textOf } from '../session.ts';

const ACTIONS = ['redrive', 'discard', 'pause', 'resume', 'rebuild', 'rollback', 'refold'];
const STATES = ['asked', 'running', 'done', 'failed', 'cancelled'];
const NAMES = ['When', 'Who', 'What', 'Of what', 'Why', 'What came of it'];
const FILTERS = ['by', 'action', 'state'] as const;

/** What operators have asked for, by whom it was, what it was and how it ended. */
export function Actions() {
  const asked = new URLSearchParams();
  for (const name of FILTERS) {
    const value = route.value.query.get(name);
    if (value) asked.set(name, value);
  }
  const query = asked.toString();
  const [items, setItems] = useState<readonly AdminRequestBody[] | undefined>();
  const [problem, setProblem] = useState('');
  const live = requests.value;
  useEffect(() => {
    const ended = new AbortController();
    get<{ items: AdminRequestBody[] }>(`/v1/admin/requests?${query}`, ended.signal)
      .then((found) => {
        setProblem('');
        setItems(found.items);
      })
      .catch((error: unknown) => !ended.signal.aborted && setProblem(textOf(error)));
    return () => ended.abort();
  }, [query, live]);
  return (
    <>
      <h1>Operators' actions</h1>
      <Filters asked={asked} />
      {problem !== '' && <p role="alert">{problem}</p>}
      {items === undefined ? (
        <Empty>Looking …</Empty>
      ) : items.length === 0 ? (
        <Empty>Nobody has asked for anything like that.</Empty>
      ) : (
        <Table label="Actions" names={NAMES}>
          {items.map((request) => (
            <Line key={request.id} request={request} />
          ))}
        </Table>
      )}
      <p class="faint">
        {count(items?.length ?? 0)} of the last 500. Commands of webhooks, products and orders stand in the
        log.
      </p>
    </>
  );
}

function Filters({ asked }: { readonly asked: URLSearchParams }) {
  const choose = (name: (typeof FILTERS)[number], value: string): void => {
    const next = new URLSearchParams(asked);
    if (value === '') next.delete(name);
    else next.set(name, value);
    go(`/console/actions?${next}`, true);
  };
  return (
    <search class="search">
      <label class="grow">
        <span class="label">Who</span>
        <input
          type="search"
          value={asked.get('by') ?? ''}
          onChange={(event) => choose('by', event.currentTarget.value.trim())}
        />
      </label>
      <Choice
        label="What"
        of={ACTIONS}
        value={asked.get('action')}
        choose={(value) => choose('action', value)}
      />
      <Choice
        label="Result"
        of={STATES}
        value={asked.get('state')}
        choose={(value) => choose('state', value)}
      />
    </search>
  );
}

function Choice({
  label,
  of,
  value,
  choose,
}: {
  readonly label: string;
  readonly of: readonly string[];
  readonly value: string | null;
  readonly choose: (value: string) => void;
}) {
  return (
    <label>
      <span class="label">{label}</span>
      <select value={value ?? ''} onChange={(event) => choose(event.currentTarget.value)}>
        <option value="">all</option>
        {of.map((one) => (
          <option key={one} value={one}>
            {one}
          </option>
        ))}
      </select>
    </label>
  );
}

function Line({ request }: { readonly request: AdminRequestBody }) {
  const { by, action, reason, at } = request;
  return (
    <tr>
      <td>
        <Time at={at} />
      </td>
      <td>{by}</td>
      <td>{action}</td>
      <td>
        <Target request={request} />
      </td>
      <td>{reason}</td>
      <td>
        <Outcome request={request} />
      </td>
    </tr>
  );
}

/** What it was asked of, and the way to it. */
function Target({ request: { action, target, stream, aggregate } }: { readonly request: AdminRequestBody }) {
  if (stream !== undefined) return <AggregateLink {...stream} />;
  const page = action === 'pause' || action === 'resume' ? 'reactions' : 'views';
  if (action === 'redrive' || action === 'discard') return <a href="/console/stuck">{target}</a>;
  return (
    <>
      <a href={`/console/${page}`}>{target}</a>
      {aggregate !== undefined && <span class="mono"> {shortId(aggregate)}</span>}
    </>
  );
}
