import type { ConsumerBody } from '../../schemas/admin.ts';
import { history, post, reactions, requests, situation } from '../api.ts';
import { count, span } from '../format.ts';
import { attempt, Badge, Empty, question, Requests, Table, Time } from '../parts.tsx';
import { Plot } from '../plot.tsx';

const NAMES = ['Reaction', 'State', 'Behind', 'Oldest', 'Stuck', 'Groups held by', 'Tried again', 'Actions'];

/** What handles events, and how far behind it is. */
export function Reactions() {
  const list = reactions.value;
  if (list === undefined) return <Empty>Looking …</Empty>;
  const acted = (requests.value ?? []).filter(({ action }) => action === 'pause' || action === 'resume');
  return (
    <>
      <h1>Reactions</h1>
      <Table label="Reactions" names={NAMES}>
        {list.map((one) => (
          <Row key={one.consumer} one={one} />
        ))}
      </Table>
      <Plot
        title="Furthest behind"
        unit="events"
        points={history.value.map(({ at, lag }) => [at, lag] as const)}
      />
      <h2>What was asked for</h2>
      <Requests list={acted.slice(0, 10)} />
    </>
  );
}

function askPause(consumer: string): void {
  question.value = {
    title: `Pause ${consumer}?`,
    explain:
      'On every process: nothing new is begun, what runs is finished. Its events wait until it is resumed.',
    action: 'Pause',
    done: `${consumer} is paused.`,
    run: ({ reason }) => post(`/v1/admin/consumers/${consumer}/pause`, { reason }),
  };
}

function Row({ one }: { readonly one: ConsumerBody }) {
  const { consumer, lag, lagSeconds, parked, paused, pause, groups, owners = [] } = one;
  const retried = (situation.value?.instances ?? []).flatMap(({ retrying }) =>
    retrying.filter((each) => each.consumer === consumer),
  );
  const byInstance = Map.groupBy(owners, ({ instance }) => instance);
  const free = groups.of - groups.held;
  const resume = () =>
    attempt(
      () => post(`/v1/admin/consumers/${consumer}/resume`, { reason: 'asked for in the console' }),
      'It goes on.',
    );
  return (
    <tr>
      <th scope="row">{consumer}</th>
      <td>
        {paused ? (
          <>
            <Badge tone="warn">paused</Badge>
            {pause && (
              <span class="block">
                by {pause.by}, <Time at={pause.at} />
                {pause.reason && <q>{pause.reason}</q>}
              </span>
            )}
          </>
        ) : lag === 0 ? (
          <Badge tone="good">up to date</Badge>
        ) : (
          <Badge tone={lagSeconds > 60 ? 'bad' : 'plain'}>at work</Badge>
        )}
      </td>
      <td class="number">{count(lag)}</td>
      <td class="number">{lag === 0 ? '—' : span(lagSeconds)}</td>
      <td class="number">{parked > 0 ? <a href="/console/stuck">{count(parked)}</a> : '0'}</td>
      <td>
        {[...byInstance].map(([instance, held]) => (
          <span key={instance} class="block">
            {instance}: {held.length} of {groups.of}
          </span>
        ))}
        {free > 0 && <Badge tone="bad">{free} by nobody</Badge>}
      </td>
      <td>
        {retried.length === 0
          ? '—'
          : retried.map(({ count: how, error }) => (
              <span key={error} class="block">
                {how > 0 && <Badge tone="warn">{count(how)}</Badge>} {error}
              </span>
            ))}
      </td>
      <td>
        {paused ? (
          <button type="button" class="primary" onClick={resume}>
            Resume
          </button>
        ) : (
          <button type="button" onClick={() => askPause(consumer)}>
            Pause …
          </button>
        )}
      </td>
    </tr>
  );
}
