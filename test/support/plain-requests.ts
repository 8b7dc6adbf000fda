import { createInbox, errors, type NatsConnection, type Subscription } from '@nats-io/transport-node';
import { denialIn, watchConnection } from '../../src/eventstore/nats/connection-watch.ts';
import {
  DEFAULT_API_PREFIX,
  failureToSend,
  type Reply,
  type RequestFailure,
  type Requests,
  type RequestsOptions,
  saysNobody,
} from '../../src/eventstore/nats/requests.ts';

/**
 * What `createRequests` is compared with: the same by the client's own calls, each request sent at once.
 * @param options its `inboxPrefix` must be the one that the connection was given: `request` takes the client's own
 */
export function createPlainRequests(connection: NatsConnection, options: RequestsOptions = {}): Requests {
  const { inboxPrefix, apiPrefix = DEFAULT_API_PREFIX, user } = options;
  const underWay = new Set<() => void>();
  let closed = false;
  const failAll = (): void => {
    for (const lose of [...underWay]) lose();
  };
  const { allowed: _, ...watch } = watchConnection(connection, { user, failUnderWay: failAll });
  // The client would hold a message back and send it once it is connected again.
  const canSend = (): boolean => !closed && watch.connected();
  /** What the client's error says about who may have the request. */
  const failureOf = (error: unknown): RequestFailure => {
    if (error instanceof errors.TimeoutError) return 'timeout';
    if (!(error instanceof errors.RequestError)) return failureToSend(error);
    if (error.isNoResponders()) return 'no-responders';
    return denialIn(error, user) ?? 'connection-lost';
  };

  const publish: Requests['publish'] = (subject, payload, rest = {}) => {
    if (!canSend()) return 'not-connected';
    try {
      connection.publish(subject, payload, rest);
      return undefined;
    } catch (error) {
      return failureToSend(error);
    }
  };

  const request: Requests['request'] = async (
    subject,
    payload,
    { headers, timeoutMs: timeout, before = [] },
  ) => {
    if (!canSend()) return { failed: 'not-connected' };
    let lose = (): void => undefined;
    const lost = new Promise<Reply>((resolve) => {
      lose = () => resolve({ failed: 'connection-lost' });
    });
    for (const { subject: to, payload: what, ...rest } of before) {
      const failed = publish(to, what, rest);
      if (failed !== undefined) return { failed };
    }
    underWay.add(lose);
    const asked = connection.request(subject, payload, { timeout, ...(headers && { headers }) });
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
        forgetDenials();
        subscription?.unsubscribe();
        resolve(failure);
      };
      const lose = (): void => end('connection-lost');
      underWay.add(lose);
      const timer = setTimeout(end, timeoutMs, 'timeout');
      const forgetDenials = watch.onDenied((denied) => {
        if (denied.subject === subject) end(denied);
      });
      const reply = createInbox(inboxPrefix);
      try {
        subscription = connection.subscribe(reply, {
          callback: (error, msg) => {
            if (error !== null) end(denialIn(error, user) ?? 'timeout');
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
    apiPrefix,
    user,
    ...watch,
    inbox: () => createInbox(inboxPrefix),
    request,
    collect,
    publish,
    close: () => {
      closed = true;
      failAll();
    },
  };
}
