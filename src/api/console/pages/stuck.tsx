import { useEffect, useState } from 'preact/hooks';
import type { AdminRequestBody, CauseBody } from '../../operators/schemas.ts';
import type { ParkedSummaryBody } from '../../schemas/admin.ts';
import { get, post, requests, stuck, views } from '../api.ts';
import { count, many, shortType } from '../format.ts';
import { attempt, Badge, Empty, Outcome, question, Requests, Table, Time } from '../parts.tsx';
import { textOf } from '../session.ts';

const PAGE = 50;

type Filter = Readonly<Record<string, string | number>>;

const redrive = (filter: Filter, reason: string) => post('/v1/admin/parked/redrive', { filter, reason });

function askGiveUp(filter: Filter, what: string, typed: string): void {
  question.value = {
    title: `Give up ${what}?`,
    explain:
      'For ever: they are never handled. What waits behind them is handled then. An audit row is kept.',
    action: 'Give up',
    typed,
    done: 'Marked to be given up.',
    run: ({ reason }) => post('/v1/admin/parked/discard', { filter, reason }),
  };
}

/** What is stuck, by cause. */
export function Stuck() {
  const causes = stuck.value;
  if (causes === undefined) return <Empty>Looking …</Empty>;
  const rows = (views.value ?? []).flatMap(({ view, parked }) => parked.map((row) => ({ view, ...row })));
  const acted = (requests.value ?? []).filter(({ action }) =>
    ['redrive', 'discard', 'refold'].includes(action),
  );
  return (
    <>
      <h1>Stuck</h1>
      {causes.length === 0 && rows.length === 0 && (
        <Empty>
          <Badge tone="good">Nothing is stuck.</Badge>
        </Empty>
      )}
      {causes.map((cause) => (
        <Cause key={cause.cause} cause={cause} />
      ))}
      {rows.length > 0 && <ViewRows rows={rows} />}
      <h2>What was asked for</h2>
      <Requests list={acted.slice(0, 10)} />
    </>
  );
}

/** The last request for these, while the stream still tells of it. */
function lastOf({ cause }: CauseBody): AdminRequestBody | undefined {
  return (requests.value ?? []).find(
    ({ target, outcome }) => target.startsWith(`cause ${cause}`) && outcome !== undefined,
  );
}

function Cause({ cause }: { readonly cause: CauseBody }) {
  const [open, setOpen] = useState(false);
  const { consumer, step, error, firstAt, lastAt, attempts, behind } = cause;
  const filter = { cause: cause.cause };
  const last = lastOf(cause);
  const all = many(cause.count, 'dead letter');
  const again = () =>
    attempt(() => redrive(filter, 'asked for in the console'), `${all} marked to be handled again.`);
  return (
    <section class="card bad" aria-label={`${consumer}: ${error.message}`}>
      <div class="head">
        <div class="grow">
          <h2 class="message">{error.message}</h2>
          <p>
            <Badge tone="bad">{all}</Badge> <strong>{consumer}</strong> at <span class="mono">{step}</span> ·
            first <Time at={firstAt} />, last <Time at={lastAt} /> · {many(attempts, 'try', 'tries')}
            {behind > 0 && ` · ${count(behind)} wait behind`}
          </p>
        </div>
        <div class="actions">
          <button type="button" class="primary" onClick={again}>
            Redrive all {count(cause.count)}
          </button>
          <button
            type="button"
            onClick={() => askGiveUp(filter, `all ${cause.count}`, `give up ${cause.count}`)}
          >
            Give up …
          </button>
          <button type="button" aria-expanded={open} onClick={() => setOpen(!open)}>
            {open ? 'Hide' : 'Show'} them
          </button>
        </div>
      </div>
      {last && <Outcome request={last} />}
      {open && <Entries cause={cause} />}
    </section>
  );
}

function Entries({ cause }: { readonly cause: CauseBody }) {
  const [items, setItems] = useState<readonly ParkedSummaryBody[]>([]);
  const [next, setNext] = useState<string | undefined>();
  const [problem, setProblem] = useState('');
  const load = async (cursor?: string): Promise<void> => {
    const query = new URLSearchParams({ cause: cause.cause, limit: String(PAGE), ...(cursor && { cursor }) });
    try {
      const page = await get<{ items: ParkedSummaryBody[]; next?: string }>(`/v1/admin/parked?${query}`);
      setItems((before) => (cursor === undefined ? page.items : [...before, ...page.items]));
      setNext(page.next);
    } catch (error) {
      setProblem(textOf(error));
    }
  };
  // Again when some of them are gone.
  useEffect(() => void load(), [cause.cause, cause.count, cause.requested]);
  return (
    <>
      {problem !== '' && <p role="alert">{problem}</p>}
      <Table
        label="Dead letters of this cause"
        names={['Aggregate', 'Position', 'Events', 'Tries', 'Last try', 'Actions']}
      >
        {items.map((entry) => (
          <Entry
            key={`${entry.consumer}${entry.category}${entry.id}${entry.position}`}
            entry={entry}
            cause={cause}
          />
        ))}
      </Table>
      {next !== undefined && (
        <button type="button" onClick={() => load(next)}>
          Show more
        </button>
      )}
    </>
  );
}

function Entry({ entry, cause }: { readonly entry: ParkedSummaryBody; readonly cause: CauseBody }) {
  const { consumer, category, id, position, attempts, lastAt, eventTypes, request } = entry;
  const one = { consumer, category, id, position };
  const upTo = { cause: cause.cause, upTo: position };
  return (
    <tr>
      <td>
        <a href={`/console/aggregate/${category}/${encodeURIComponent(id)}`}>
          {category}/{id}
        </a>
      </td>
      <td class="number">{count(position)}</td>
      <td>{eventTypes.map(shortType).join(', ')}</td>
      <td class="number">{attempts}</td>
      <td>{lastAt && <Time at={lastAt} />}</td>
      <td>
        {request ? (
          <Badge tone="plain">
            {request.requested} asked by {request.by}
          </Badge>
        ) : (
          <span class="actions">
            <button
              type="button"
              onClick={() =>
                attempt(() => redrive(one, 'asked for in the console'), 'Marked to be handled again.')
              }
            >
              Redrive
            </button>
            <button
              type="button"
              onClick={() =>
                attempt(() => redrive(upTo, 'asked for in the console'), `Marked up to ${position}.`)
              }
            >
              Up to here
            </button>
            <button type="button" onClick={() => askGiveUp(one, `${category}/${id}`, 'give up')}>
              Give up …
            </button>
          </span>
        )}
      </td>
    </tr>
  );
}

interface ViewRow {
  readonly view: string;
  readonly id: string;
  readonly position: number;
  readonly reason: string;
}

function ViewRows({ rows }: { readonly rows: readonly ViewRow[] }) {
  const fold = ({ view, id }: ViewRow): void => {
    question.value = {
      title: `Fold ${id} of ${view} again?`,
      explain: 'The row is folded from the log as it is now, and follows it again.',
      action: 'Fold again',
      done: 'Asked for.',
      run: ({ reason }) => post(`/v1/admin/views/${view}/refold`, { id, reason }),
    };
  };
  return (
    <section class="card bad" aria-label="Rows of views">
      <h2>Rows of views to which an event could not be applied</h2>
      <ul class="plain">
        {rows.map((row) => (
          <li key={`${row.view}/${row.id}`}>
            <strong>{row.view}</strong> <span class="mono">{row.id}</span> at {count(row.position)}:{' '}
            {row.reason}{' '}
            <button type="button" onClick={() => fold(row)}>
              Fold again …
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
