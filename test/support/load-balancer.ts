import { once } from 'node:events';
import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';

/** A proxy in front of services that sends requests only to those that were ready when it last asked. */
export interface LoadBalancer extends AsyncDisposable {
  readonly url: string;
  /** Adds a service; it gets requests once it was seen ready. */
  add(url: string): void;
  /** Whether a service gets requests. */
  uses(url: string): boolean;
  /** Requests that could not be passed on or whose answer broke off; nothing is tried twice. */
  readonly failures: readonly string[];
}

const LOOK_EVERY_MS = 50;
/** Less than a service waits before it ends; a shorter one throws answers away that come late on a busy machine. */
const LOOK_TIMEOUT_MS = 4_000;

/** Starts it on a free port of loopback. */
export async function startLoadBalancer(urls: readonly string[]): Promise<LoadBalancer> {
  const known = new Set(urls);
  const usable = new Set<string>();
  const failures: string[] = [];
  const agent = new Agent({ keepAlive: true });
  let turn = 0;

  const asked = new Set<string>();
  const look = async (url: string): Promise<void> => {
    asked.add(url);
    try {
      const answer = await fetch(`${url}/health/ready`, { signal: AbortSignal.timeout(LOOK_TIMEOUT_MS) });
      if (answer.ok) usable.add(url);
      // As proxies do, it keeps the last one: on a busy machine all may be late for a moment.
      else if (usable.size > 1) usable.delete(url);
    } catch (error) {
      // One that is only slow keeps what it has.
      if (!(error instanceof DOMException && error.name === 'TimeoutError')) usable.delete(url);
    }
    asked.delete(url);
  };
  const looking = setInterval(() => {
    for (const url of known) if (!asked.has(url)) void look(url);
  }, LOOK_EVERY_MS);

  const refuse = (reply: ServerResponse, why: string): void => {
    failures.push(why);
    if (!reply.headersSent) reply.writeHead(502, { 'content-type': 'application/json' });
    reply.end('{}');
  };
  const pass = (incoming: IncomingMessage, reply: ServerResponse): void => {
    const targets = [...usable];
    const target = targets[turn++ % Math.max(1, targets.length)];
    if (target === undefined) {
      refuse(reply, 'no service is ready');
      return;
    }
    const { method, headers, url: path } = incoming;
    const sent = request(`${target}${path}`, { method, headers, agent }, (answer) => {
      const { connection: _hop, ...passed } = answer.headers;
      reply.writeHead(answer.statusCode ?? 502, passed);
      answer.once('error', (error) => refuse(reply, `${method} ${path}: ${error.message}`));
      answer.pipe(reply);
    });
    sent.once('error', (error) => refuse(reply, `${method} ${path}: ${error.message}`));
    incoming.pipe(sent);
  };
  const server = createServer(pass).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  await Promise.all(urls.map(look));
  return {
    url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`,
    add: (url) => void known.add(url),
    uses: (url) => usable.has(url),
    failures,
    [Symbol.asyncDispose]: async () => {
      clearInterval(looking);
      agent.destroy();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
