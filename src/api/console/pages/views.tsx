import type { AdminRequestBody, ViewBody } from '../../operators/schemas.ts';
import { post, requests, views } from '../api.ts';
import { count } from '../format.ts';
import { attempt, Badge, Empty, Outcome, question, Requests, Table, Time } from '../parts.tsx';

const NAMES = ['View', 'State', 'Behind', 'Position', 'Rows', 'Version', 'Bucket', 'Stored', 'Actions'];
const isOpen = ({ state }: AdminRequestBody): boolean => state === 'asked' || state === 'running';

/** The read models: how far they are, and filling them anew. */
export function Views() {
  const list = views.value;
  if (list === undefined) return <Empty>Looking …</Empty>;
  const asked = (requests.value ?? []).filter(({ action }) =>
    ['rebuild', 'rollback', 'refold'].includes(action),
  );
  return (
    <>
      <h1>Views</h1>
      {asked.filter(isOpen).map((request) => (
        <section key={request.id} class="card" aria-label={`${request.action} of ${request.target}`}>
          <div class="head">
            <h2 class="grow">
              {request.action} of {request.target}
            </h2>
            <button
              type="button"
              onClick={() => attempt(() => post(`/v1/admin/requests/${request.id}/cancel`), 'Asked to stop.')}
            >
              Cancel
            </button>
          </div>
          <Outcome request={request} />
        </section>
      ))}
      <Table label="Views" names={NAMES}>
        {list.map((view) => (
          <Row key={view.view} view={view} />
        ))}
      </Table>
      <h2>What was asked for</h2>
      <Requests list={asked.filter((request) => !isOpen(request)).slice(0, 10)} />
    </>
  );
}

function askRebuild(view: string): void {
  question.value = {
    title: `Rebuild ${view}?`,
    explain:
      'The log is replayed into a new bucket beside the live one, compared with it row by row, and switched to. Queries go on meanwhile.',
    action: 'Rebuild',
    rate: true,
    done: 'Asked for; a process that keeps views begins within seconds.',
    run: ({ reason, rate }) =>
      post(`/v1/admin/views/${view}/rebuild`, {
        reason,
        ...(rate !== undefined && { commitsPerSecond: rate }),
      }),
  };
}

function askRollback(view: string): void {
  question.value = {
    title: `Go back to the bucket before the last switch of ${view}?`,
    explain: 'Once that bucket has caught up with the log; refused where there is none of this version.',
    action: 'Go back',
    done: 'Asked for.',
    run: ({ reason }) => post(`/v1/admin/views/${view}/rollback`, { reason }),
  };
}

function Row({ view: one }: { readonly view: ViewBody }) {
  const { view, state, lag, position, rows, version, bucket, checkpointAt, parked } = one;
  return (
    <tr>
      <th scope="row">{view}</th>
      <td>
        <Badge tone={state !== 'sound' ? 'bad' : parked.length > 0 ? 'warn' : 'good'}>{state}</Badge>
        {parked.length > 0 && (
          <a class="block" href="/console/stuck">
            {count(parked.length)} rows stuck
          </a>
        )}
      </td>
      <td class="number">{count(lag)}</td>
      <td class="number">{count(position)}</td>
      <td class="number">{rows === undefined ? '—' : count(rows)}</td>
      <td class="mono">{version ?? '—'}</td>
      <td class="mono">{bucket ?? '—'}</td>
      <td>{checkpointAt && <Time at={checkpointAt} />}</td>
      <td>
        <span class="actions">
          <button type="button" onClick={() => askRebuild(view)}>
            Rebuild …
          </button>
          <button type="button" onClick={() => askRollback(view)}>
            Roll back …
          </button>
        </span>
      </td>
    </tr>
  );
}
