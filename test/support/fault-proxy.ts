import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { type Frame, frameReader, isPublishAck, withoutServerAddresses } from './nats-frames.ts';

/** Which way bytes flow. */
export type Direction = 'to-server' | 'to-client';

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
  /** Nothing passes and nothing is answered; what was sent is lost: `heal` cuts the connections it was lost on. */
  blackHole(): void;
  /** Cuts all connections now; new ones are let in. */
  cut(): void;
  /** Cuts all connections and closes every new one at once. */
  refuse(): void;
  /** Ends every fault. */
  heal(): void;
  stop(): Promise<void>;
}

interface Rules {
  drops: ((frame: Frame) => boolean) | undefined;
  delayMs: number;
  readonly held: Set<Direction>;
  swallowing: boolean;
  refusing: boolean;
}

interface Pipe {
  /** Delivers what was held. */
  release(): void;
  cut(): void;
  /** True when bytes of it were lost, so that nothing after them would make sense. */
  readonly damaged: () => boolean;
}

/** Starts a proxy on a free port of the loopback in front of `target`, a `nats://` address of one server. */
export async function startFaultProxy(target: string): Promise<FaultProxy> {
  const { hostname, port } = new URL(target);
  const rules: Rules = { drops: undefined, delayMs: 0, held: new Set(), swallowing: false, refusing: false };
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
    blackHole: () => {
      rules.swallowing = true;
    },
    cut,
    refuse: () => {
      rules.refusing = true;
      cut();
    },
    heal: () => {
      Object.assign(rules, { drops: undefined, delayMs: 0, swallowing: false, refusing: false });
      rules.held.clear();
      for (const pipe of pipes) pipe.damaged() ? pipe.cut() : pipe.release();
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

function joinSockets(
  client: Socket,
  upstream: Socket,
  rules: Rules,
  onDrop: () => void,
  onEnd: () => void,
): Pipe {
  const toServer = oneWay(client, upstream, 'to-server', rules, onDrop);
  const toClient = oneWay(upstream, client, 'to-client', rules, onDrop);
  const cut = (): void => {
    toServer.close();
    toClient.close();
    client.resetAndDestroy();
    upstream.resetAndDestroy();
    onEnd();
  };
  for (const socket of [client, upstream]) {
    socket.setNoDelay(true);
    // What an error means is said by the `close` that follows it.
    socket.on('error', () => undefined);
  }
  // What a client sent before it died is under way and still arrives.
  client.on('close', () => toServer.whenEmpty(cut));
  upstream.on('close', cut);
  return {
    cut,
    damaged: () => toServer.damaged() || toClient.damaged(),
    release: () => {
      toServer.release();
      toClient.release();
    },
  };
}

interface OneWay {
  release(): void;
  /** Calls back once, when nothing waits in it any more. */
  whenEmpty(then: () => void): void;
  close(): void;
  readonly damaged: () => boolean;
}

function oneWay(from: Socket, to: Socket, direction: Direction, rules: Rules, onDrop: () => void): OneWay {
  const read = frameReader();
  const waiting: { readonly bytes: Buffer; readonly due: number }[] = [];
  let damaged = false;
  let onEmpty: (() => void) | undefined;
  let timer: NodeJS.Timeout | undefined;

  const pass = (frame: Frame): Buffer | undefined => {
    if (rules.drops?.(frame) !== true)
      return direction === 'to-client' ? withoutServerAddresses(frame) : frame.bytes;
    onDrop();
    return undefined;
  };
  const flush = (): void => {
    clearTimeout(timer);
    timer = undefined;
    if (rules.held.has(direction)) return;
    for (let next = waiting[0]; next !== undefined; next = waiting[0]) {
      const early = next.due - Date.now();
      if (early > 0) {
        timer = setTimeout(flush, early);
        return;
      }
      waiting.shift();
      if (to.writable) to.write(next.bytes);
    }
    onEmpty?.();
  };
  from.on('data', (chunk: Buffer) => {
    if (rules.swallowing) {
      damaged = true;
      return;
    }
    const passed = read(chunk)
      .map(pass)
      .filter((bytes) => bytes !== undefined);
    if (passed.length === 0) return;
    waiting.push({ bytes: Buffer.concat(passed), due: Date.now() + rules.delayMs });
    if (timer === undefined) flush();
  });
  return {
    damaged: () => damaged,
    whenEmpty: (then) => {
      if (waiting.length === 0) then();
      else onEmpty = then;
    },
    close: () => clearTimeout(timer),
    release: () => {
      for (const [index, { bytes }] of waiting.entries()) waiting[index] = { bytes, due: 0 };
      flush();
    },
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
