import { useEffect, useState } from 'preact/hooks';
import type { Static } from 'typebox';
import type { NotificationsBody, WebhookDeliveryBody, WebhooksBody } from '../../operators/outgoing.ts';
import type { WebhookDeliveries } from '../../schemas/webhook.ts';
import { get, outgoing, post } from '../api.ts';
import { count, many, shortId } from '../format.ts';
import { AggregateLink, attempt, Badge, Empty, question, Table, Tile, Time } from '../parts.tsx';
import { textOf } from '../session.ts';

type Try = Static<typeof WebhookDeliveries>['items'][number];

const HOUR_MS = 3_600_000;
const TRIES = 20;

/** What goes out: notifications to people, public events to webhooks. */
export function Outgoing() {
  const found = outgoing.value;
  if (found === undefined) return <Empty>Looking …</Empty>;
  return (
    <>
      <h1>Outgoing</h1>
      <h2>Notifications</h2>
      <Notifications found={found.notifications} />
      <h2>Webhooks</h2>
      <Webhooks first={found.webhooks} />
    </>
  );
}

function Notifications({
  found: { queue, oldestAt, kept, dead, recent },
}: {
  readonly found: NotificationsBody;
}) {
  return (
    <>
      <div class="tiles">
        <Tile name="Not read yet" value={queue === undefined ? 'not known' : count(queue.waiting)} />
        <Tile name="Under way" value={queue === undefined ? 'not known' : count(queue.open)} />
        <Tile name="Not taken yet" value={queue === undefined ? 'not known' : count(queue.retried)} />
        <Tile name="Given up" value={count(dead)} />
        <Tile name="Kept" value={count(kept)} />
      </div>
      {queue === undefined && <p>No process has delivered notifications yet.</p>}
      {oldestAt !== undefined && (
        <p>
          The oldest waits since <Time at={oldestAt} />.
        </p>
      )}
      {dead > 0 && (
        <p>
          <a href="/console/stuck">Send them again, or give them up</a>
        </p>
      )}
      {recent.length > 0 && (
        <Table label="Notifications" names={['When', 'What', 'Of', 'To', 'State']}>
          {recent.map(({ id, at, kind, userId, orderId, state }) => (
            <tr key={id}>
              <td>
                <Time at={at} />
              </td>
              <td>{kind}</td>
              <td>{orderId === undefined ? '—' : <AggregateLink category="order" id={orderId} />}</td>
              <td>
                <AggregateLink category="user" id={userId} />
              </td>
              <td>{state}</td>
            </tr>
          ))}
        </Table>
      )}
    </>
  );
}

function Webhooks({ first }: { readonly first: WebhooksBody }) {
  const [more, setMore] = useState<WebhooksBody | undefined>();
  const items = [...first.items, ...(more?.items ?? [])];
  const next = more === undefined ? first.next : more.next;
  if (items.length === 0) return <Empty>There is no webhook.</Empty>;
  const load = async (cursor: string): Promise<void> => {
    const page = await get<WebhooksBody>(`/v1/admin/webhooks?cursor=${encodeURIComponent(cursor)}`);
    setMore({ ...page, items: [...(more?.items ?? []), ...page.items] });
  };
  return (
    <>
      {items.map((one) => (
        <Webhook key={one.id} one={one} />
      ))}
      {next !== undefined && (
        <button type="button" onClick={() => load(next)}>
          Show more
        </button>
      )}
    </>
  );
}

function askDisable({ id, url }: WebhookDeliveryBody): void {
  question.value = {
    title: `Send nothing more to ${url}?`,
    explain: 'It keeps its place: once it is enabled it is sent what has happened meanwhile.',
    action: 'Disable',
    done: 'It is disabled.',
    run: ({ reason }) => post(`/v1/webhooks/${id}/disable`, { reason }),
  };
}

function Webhook({ one }: { readonly one: WebhookDeliveryBody }) {
  const [open, setOpen] = useState(false);
  const { id, url, description, status, cause, reason, waiting } = one;
  const path = `/v1/webhooks/${id}`;
  const again = () => post(`${path}/redeliveries`, { since: new Date(Date.now() - HOUR_MS).toISOString() });
  return (
    <section class={`card ${cause === undefined || cause === 'operator' ? '' : 'bad'}`} aria-label={url}>
      <div class="head">
        <div class="grow">
          <h3 class="message">{url}</h3>
          <p>
            {status === 'enabled' ? (
              <Badge tone={one.retrying > 0 ? 'warn' : 'good'}>enabled</Badge>
            ) : (
              <Badge tone={cause === 'operator' ? 'plain' : 'bad'}>
                disabled: {cause} {reason && <q>{reason}</q>}
              </Badge>
            )}{' '}
            {description} <span class="faint mono">{shortId(id)}</span>
          </p>
          <Behind one={one} />
          {waiting > 0 && <p>{many(waiting, 'test or redelivery', 'tests and redeliveries')} under way.</p>}
        </div>
        <div class="actions">
          <button type="button" onClick={() => attempt(() => post(`${path}/test`), 'A test is sent.')}>
            Test
          </button>
          <button type="button" onClick={() => attempt(again, 'They are sent again.')}>
            Redeliver the last hour
          </button>
          {status === 'enabled' ? (
            <button type="button" onClick={() => askDisable(one)}>
              Disable …
            </button>
          ) : (
            <button
              type="button"
              class="primary"
              onClick={() => attempt(() => post(`${path}/enable`), 'It goes on where it was.')}
            >
              Enable
            </button>
          )}
          <button type="button" aria-expanded={open} onClick={() => setOpen(!open)}>
            {open ? 'Hide' : 'Show'} tries
          </button>
        </div>
      </div>
      {open && <Tries path={path} last={one.lastTry?.at} />}
    </section>
  );
}

function Behind({ one }: { readonly one: WebhookDeliveryBody }) {
  const { open, retrying, attempts, unread, oldestAt, pausedUntil, lastTry } = one;
  return (
    <p>
      {open + unread === 0 ? 'Up to date' : `${many(open, 'event')} to be delivered`}
      {unread > 0 && `, up to ${count(unread)} not read yet`}
      {oldestAt !== undefined && (
        <>
          , the oldest of <Time at={oldestAt} />
        </>
      )}
      {retrying > 0 && `; ${count(retrying)} tried again, at most ${many(attempts, 'try', 'tries')}`}
      {pausedUntil !== undefined && '; paused, since it takes nothing'}.{' '}
      {lastTry && (
        <>
          Last try <Time at={lastTry.at} />:{' '}
          <Badge tone={lastTry.taken ? 'good' : 'bad'}>
            {lastTry.status ?? lastTry.error ?? 'no answer'}
          </Badge>
        </>
      )}
    </p>
  );
}

/** The last tries of a webhook. @param last when it was tried last: then they are read again */
function Tries({ path, last }: { readonly path: string; readonly last: string | undefined }) {
  const [items, setItems] = useState<readonly Try[] | undefined>();
  const [problem, setProblem] = useState('');
  useEffect(() => {
    const ended = new AbortController();
    get<{ items: Try[] }>(`${path}/deliveries?limit=${TRIES}`, ended.signal)
      .then((page) => setItems(page.items))
      .catch((error: unknown) => !ended.signal.aborted && setProblem(textOf(error)));
    return () => ended.abort();
  }, [path, last]);
  if (problem !== '') return <p role="alert">{problem}</p>;
  if (items === undefined) return <Empty>Looking …</Empty>;
  if (items.length === 0) return <Empty>Nothing was tried lately.</Empty>;
  return (
    <Table label="Tries" names={['When', 'Event', 'Try', 'Result', 'Actions']}>
      {items.map(({ event, type, at, attempt: number, outcome, status, error }) => (
        <tr key={`${event}${at}${number}`}>
          <td>
            <Time at={at} />
          </td>
          <td>{type}</td>
          <td class="number">{number}</td>
          <td>
            <Badge tone={outcome === 'taken' ? 'good' : 'bad'}>{status ?? error ?? outcome}</Badge>
          </td>
          <td>
            <button
              type="button"
              onClick={() => attempt(() => post(`${path}/redeliveries`, { event }), 'It is sent again.')}
            >
              Send again
            </button>
          </td>
        </tr>
      ))}
    </Table>
  );
}
