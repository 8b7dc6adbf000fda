import { createConnection, createServer, type Server } from 'node:net';
import { type Frame, isPublishAck } from './nats-frames.ts';
import { BOTH_WAYS, type Direction, joinSockets, type Pipe, type Rules } from './proxy-pipe.ts';

/** A TCP proxy of ours in front of one nats-server. Without a fault everything passes unchanged but the server's hints at other servers. */
export interface FaultProxy extends AsyncDisposable {
  /** Where clients connect; the same for the proxy's whole life. */
  readonly url: string;
  /** Open client connections. */
  connections(): number;
  /** Swallows matching frames, one direction or both: acknowledgements of publishes unless told otherwise. */
  drop(matches?: (frame: Frame) => boolean): void;
  /** Resolves when `count` frames were swallowed since `drop` was last called. Bound it with the test's timeout. */
  dropped(count?: number): Promise<void>;
  /** Every chunk arrives `ms` later, in order. */
  delay(ms: number): void;
  /** Keeps what flows in these directions until `heal`, which delivers it late. */
  hold(...directions: Direction[]): void;
  /** Nothing passes in these directions, both unless named; what was sent is lost: `heal` cuts the connections it was lost on. */
  blackHole(...directions: Direction[]): void;
  /** Cuts all connections now; new ones are let in. */
  cut(): void;
  /** Cuts all connections and closes every new one at once. */
  refuse(): void;
  /** Ends every fault. */
  heal(): void;
  stop(): Promise<void>;
}

/**
 * Starts a proxy on a free port of the loopback in front of `target`, a `nats://` address of one server.
 * @param speaks `route`: what passes is between servers and is not read, so that `drop` does nothing
 */
export async function startFaultProxy(
  target: string,
  speaks: 'client' | 'route' = 'client',
): Promise<FaultProxy> {
  const { hostname, port } = new URL(target);
  const rules: Rules = {
    speaks,
    drops: undefined,
    delayMs: 0,
    held: new Set(),
    swallowing: new Set(),
    refusing: false,
  };
  const pipes = new Set<Pipe>();
  const drops = dropCounter();

  const server = createServer((client) => {
    if (rules.refusing) {
      client.resetAndDestroy();
      return;
    }
    const upstream = createConnection({ host: hostname, port: Number(port) });
    const pipe = joinSockets(client, upstream, rules, drops.count, () => pipes.delete(pipe));
    pipes.add(pipe);
  });
  const url = await listen(server);

  const cut = (): void => {
    for (const pipe of pipes) pipe.cut();
  };
  const stop = async (): Promise<void> => {
    const closed = new Promise((resolve) => server.close(resolve));
    cut();
    await closed;
  };
  return {
    url,
    connections: () => pipes.size,
    drop: (matches = isPublishAck) => {
      drops.reset();
      rules.drops = matches;
    },
    dropped: drops.reached,
    delay: (ms) => {
      rules.delayMs = ms;
    },
    hold: (...directions) => {
      for (const direction of directions) rules.held.add(direction);
    },
    blackHole: (...directions) => {
      for (const direction of directions.length > 0 ? directions : BOTH_WAYS) rules.swallowing.add(direction);
    },
    cut,
    refuse: () => {
      rules.refusing = true;
      cut();
    },
    heal: () => {
      Object.assign(rules, { drops: undefined, delayMs: 0, refusing: false });
      rules.swallowing.clear();
      rules.held.clear();
      for (const pipe of pipes) pipe.damaged() ? pipe.cut() : pipe.release();
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

function dropCounter(): { count(): void; reset(): void; reached(count?: number): Promise<void> } {
  let seen = 0;
  let waiters: { readonly count: number; readonly resolve: () => void }[] = [];
  return {
    reset: () => {
      seen = 0;
    },
    count: () => {
      seen++;
      for (const waiter of waiters) if (waiter.count <= seen) waiter.resolve();
      waiters = waiters.filter((waiter) => waiter.count > seen);
    },
    reached: (count = 1) =>
      seen >= count ? Promise.resolve() : new Promise((resolve) => waiters.push({ count, resolve })),
  };
}

function listen(server: Server): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      resolve(`nats://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`);
    });
  });
}
