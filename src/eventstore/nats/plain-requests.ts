import { createInbox, errors, type NatsConnection, type Subscription } from '@nats-io/transport-node';
import {
  failureToSend,
  type Reply,
  type RequestFailure,
  type Requests,
  saysNobody,
  watchConnection,
} from './requests.ts';

/**
 * The same as `createRequests` with the client's own calls, each request sent at once: what the lean way is compared
 * with, and what `nats.leanRequests: false` falls back to.
 * @param inboxPrefix the one that the connection was given: `request` takes the client's own
 */
export function createPlainRequests(connection: NatsConnection, inboxPrefix?: string): Requests {
  const underWay = new Set<() => void>();
  let closed = false;
  const failAll = (): void => {
    for (const lose of [...underWay]) lose();
  };
  const watch = watchConnection(connection, failAll);
  // The client would hold a request back and send it once it is connected again.
  const canSend = (): boolean => !closed && watch.connected();

  const request: Requests['request'] = async (subject, payload, { headers, timeoutMs }) => {
    if (!canSend()) return { failed: 'not-connected' };
    let lose = (): void => undefined;
    const lost = new Promise<Reply>((resolve) => {
      lose = () => resolve({ failed: 'connection-lost' });
    });
    underWay.add(lose);
    const asked = connection.request(subject, payload, { timeout: timeoutMs, ...(headers && { headers }) });
    const replied = asked.then(
      (msg): Reply => ({ msg }),
      (error: unknown): Reply => ({ failed: failureOf(error) }),
    );
    return Promise.race([replied, lost]).finally(() => underWay.delete(lose));
  };

  const collect: Requests['collect'] = (subject, payload, { headers, timeoutMs }, onReply) =>
    new Promise((resolve) => {
      if (!canSend()) return resolve('not-connected');
      let subscription: Subscription | undefined;
      const end = (failure?: RequestFailure): void => {
        underWay.delete(lose);
        clearTimeout(timer);
        subscription?.unsubscribe();
        resolve(failure);
      };
      const lose = (): void => end('connection-lost');
      underWay.add(lose);
      const timer = setTimeout(end, timeoutMs, 'timeout');
      const reply = createInbox(inboxPrefix);
      try {
        subscription = connection.subscribe(reply, {
          callback: (error, msg) => {
            if (error !== null) end('timeout');
            else if (saysNobody(msg)) end('no-responders');
            else if (onReply(msg)) end();
            else timer.refresh();
          },
        });
        connection.publish(subject, payload, { reply, ...(headers && { headers }) });
      } catch (error) {
        end(failureToSend(error));
      }
    });

  return {
    connection,
    ...watch,
    inbox: () => createInbox(inboxPrefix),
    request,
    collect,
    close: () => {
      closed = true;
      failAll();
    },
  };
}

/** What the client's error says about who may have the request. */
function failureOf(error: unknown): RequestFailure {
  if (error instanceof errors.TimeoutError) return 'timeout';
  if (!(error instanceof errors.RequestError)) return failureToSend(error);
  if (error.isNoResponders()) return 'no-responders';
  // A server that forbids a subject answers nobody; the lean way waits for it in vain.
  return error.cause instanceof errors.PermissionViolationError ? 'timeout' : 'connection-lost';
}
