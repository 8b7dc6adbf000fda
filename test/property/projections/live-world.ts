import { create, type Message, toBinary } from '@bufbuild/protobuf';
import { createFrames, writeRecorded } from '../../../src/api/events/sse.ts';
import { positionTokens } from '../../../src/api/position-token.ts';
import { order } from '../../../src/domain/order.ts';
import { codecOf } from '../../../src/eventstore/codec/event-codec.ts';
import { EventStoreError } from '../../../src/eventstore/errors.ts';
import { BEGINNING, numberOf } from '../../../src/eventstore/position.ts';
import type { Runtime } from '../../../src/eventstore/runtime.ts';
import { CommitSchema } from '../../../src/gen/jetledger/eventstore/v1/commit_pb.ts';
import {
  CustomerValidatedSchema,
  OrderCancelledSchema,
  OrderPlacedSchema,
  OrderStockReleasedSchema,
} from '../../../src/gen/jetledger/order/v1/order_pb.ts';
import type { LiveCommit, LivePlace, LiveStream } from '../../../src/projections/views/live-fold.ts';
import {
  createLiveOrders,
  type LiveSettings,
  type RunningLiveOrders,
} from '../../../src/projections/views/live-orders.ts';
import { createMemoryStore, type MemoryStore, openMemoryLog } from '../../../src/testing/memory-log.ts';
import type { World } from '../../../src/testing/world.ts';

/** An event as a client or the log tells it. */
export interface Told {
  readonly orderId: string;
  readonly position: number;
  readonly type: string;
  readonly status: string;
}

/** Two processes that stream one log, in virtual time. */
export interface LiveWorld {
  readonly world: World;
  readonly store: MemoryStore;
  /** Appends one commit of so many events behind the order's last one. */
  append(orderId: string, events: number): void;
  /** The process, as it is now. */
  process(index: number): RunningLiveOrders;
  /** Ends a process and starts another in its place. */
  restart(index: number): void;
  /** What the log says of an order, or of all orders of a user. */
  log(scope: Scope): Told[];
  stop(): void;
}

/** What a client follows. */
export interface Scope {
  readonly of: 'order' | 'user';
  readonly id: string;
}

/** Every order belongs to one of two users. */
export const userOf = (orderId: string): string => (Number(orderId.slice(1)) % 2 === 0 ? 'even' : 'odd');

const REPLAY_COMMITS = 10;
const SETTINGS: Partial<LiveSettings> = {
  replayCommits: REPLAY_COMMITS,
  knownOrders: 2,
  maxEvents: 10,
  readyMs: 60_000,
};
const INCARNATION = 'life-1';
export const tokens = positionTokens(INCARNATION);
const frames = createFrames(tokens, writeRecorded());
const codec = codecOf<Message>(order);

export function createLiveWorld(world: World): LiveWorld {
  const store = createMemoryStore({ incarnation: INCARNATION });
  const told: Told[] = [];
  const placed = new Set<string>();
  const cancelled = new Set<string>();
  let started = 0;
  const start = (): RunningLiveOrders => {
    const actor = `process-${++started}`;
    const log = openMemoryLog(store, { world, actor, pageSize: 4 });
    return createLiveOrders({ log, runtime: world.runtime(actor), settings: SETTINGS });
  };
  const processes = [start(), start()];

  const next = (orderId: string): Message => {
    if (!placed.has(orderId)) {
      placed.add(orderId);
      return create(OrderPlacedSchema, { orderId, userId: userOf(orderId), currency: 'EUR' });
    }
    if (cancelled.has(orderId)) return create(OrderStockReleasedSchema);
    if (world.random() < 0.7) return create(CustomerValidatedSchema);
    cancelled.add(orderId);
    return create(OrderCancelledSchema, { reason: 'enough' });
  };

  return {
    world,
    store,
    append: (orderId, count) => {
      const stream = { category: order.category, id: orderId };
      const position = store.head() + 1;
      const events = Array.from({ length: count }, () => {
        const event = next(orderId);
        const type = event.$typeName.slice(event.$typeName.lastIndexOf('.') + 1);
        told.push({ orderId, position, type, status: cancelled.has(orderId) ? 'cancelled' : 'placed' });
        const { data, ...stored } = codec.encode(event);
        return { ...stored, data: Uint8Array.from(data) };
      });
      const commitId = `c${position}`;
      const decisions = [{ commandId: commitId, events }];
      store.put(
        stream,
        store.version(stream),
        toBinary(CommitSchema, create(CommitSchema, { commitId, decisions })),
        commitId,
      );
    },
    process: (index) => processes[index % processes.length] as RunningLiveOrders,
    restart: (index) => {
      processes[index % processes.length]?.stop();
      processes[index % processes.length] = start();
    },
    log: ({ of, id }) => told.filter(({ orderId }) => (of === 'order' ? orderId : userOf(orderId)) === id),
    stop: () => {
      for (const process of processes) process.stop();
    },
  };
}

/** One client: everything that it was told, in stretches that each must be without gap. */
export interface LiveClient {
  readonly scope: Scope;
  /** A stretch begins behind `start`; another begins only when the client was too long away. */
  readonly stretches: { readonly start: number; readonly seen: Told[] }[];
  leave(): void;
  /** What it could not make sense of. */
  fault?: unknown;
}

/** Follows until it is told to leave: cut off at random in the middle of a commit, slow at random, back at any process. */
export function startClient(live: LiveWorld, scope: Scope, runtime: Runtime): LiveClient {
  const { world } = live;
  const client: LiveClient = {
    scope,
    stretches: [],
    leave: () => {
      left = true;
      current?.close();
    },
  };
  let left = false;
  let current: LiveStream | undefined;
  let token: string | undefined;

  const open = async (): Promise<LiveStream | undefined> => {
    const process = live.process(Math.floor(world.random() * 2));
    const after = token === undefined ? undefined : tokens.read(token);
    const opening = await process[scope.of](scope.id, after);
    if (opening.opened) {
      const { stream } = opening;
      if (token === undefined) {
        client.stretches.push({ start: numberOf(stream.start), seen: [] });
        token = tokens.write(stream.start);
      }
      return stream;
    }
    if (opening.why === 'not-in-log') throw new Error(`${token} was given by this log`);
    if (opening.why === 'too-old') {
      const missed = live.store.head() - numberOf(after?.position ?? BEGINNING);
      if (missed < REPLAY_COMMITS) throw new Error(`${token} is not old, ${missed} commits behind`);
      token = undefined;
    }
    return undefined;
  };

  /** Takes the events of a commit, up to where the connection is cut. @returns false when it was */
  const takeIn = (commit: LiveCommit, after: LivePlace | undefined): boolean => {
    for (const frame of frames.of(commit, after).split('\n\n').filter(Boolean)) {
      token = /^id: (.*)$/m.exec(frame)?.[1];
      const { orderId, position, type, status } = JSON.parse(/^data: (.*)$/m.exec(frame)?.[1] ?? '') as Told;
      client.stretches.at(-1)?.seen.push({ orderId, position, type, status });
      if (world.random() < 0.05) return false;
    }
    return true;
  };

  /** A heartbeat may come at any time, and be the last thing that comes. */
  const beat = (stream: LiveStream): boolean => {
    const settled = world.random() < 0.3 ? stream.settled() : undefined;
    if (settled === undefined) return true;
    token = tokens.write(settled);
    return world.random() < 0.5;
  };

  const read = async (stream: LiveStream): Promise<void> => {
    const after = token === undefined ? undefined : tokens.read(token);
    for (;;) {
      const next = await stream.next();
      if (typeof next === 'string' || !takeIn(next, after)) return;
      if (world.random() < 0.3) await runtime.sleep(world.random() * 200);
      if (!beat(stream)) return;
    }
  };

  const follow = async (): Promise<void> => {
    while (!left) {
      try {
        current = await open();
        if (current !== undefined && !left) await read(current);
      } catch (error) {
        if (!(error instanceof EventStoreError && error.retryable)) throw error;
      } finally {
        current?.close();
      }
      await runtime.sleep(world.random() * (world.random() < 0.1 ? 5_000 : 300));
    }
  };
  follow().catch((error: unknown) => {
    client.fault = error;
  });
  return client;
}
