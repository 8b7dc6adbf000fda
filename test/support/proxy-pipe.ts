import type { Socket } from 'node:net';
import { type Frame, frameReader, withoutServerAddresses } from './nats-frames.ts';

/** Which way bytes flow. */
export type Direction = 'to-server' | 'to-client';
export const BOTH_WAYS: readonly Direction[] = ['to-server', 'to-client'];

/** What a proxy does at the moment; read for every chunk. */
export interface Rules {
  /** What passes between servers is not cut into frames. */
  readonly speaks: 'client' | 'route';
  drops: ((frame: Frame) => boolean) | undefined;
  delayMs: number;
  readonly held: Set<Direction>;
  readonly swallowing: Set<Direction>;
  refusing: boolean;
}

/** One client's connection through the proxy, both ways. */
export interface Pipe {
  /** Delivers what was held. */
  release(): void;
  cut(): void;
  /** True when bytes of it were lost, so that nothing after them would make sense. */
  readonly damaged: () => boolean;
}

/** Joins a client's socket and one to the server. `onDrop` is called for each frame swallowed, `onEnd` when both are gone. */
export function joinSockets(
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
  const framesOf = (chunk: Buffer): Buffer[] =>
    read(chunk)
      .map(pass)
      .filter((bytes) => bytes !== undefined);
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
    if (rules.swallowing.has(direction)) {
      damaged = true;
      return;
    }
    const passed = rules.speaks === 'route' ? [chunk] : framesOf(chunk);
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
