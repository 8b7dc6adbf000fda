import { createHandler, type Handler } from '../eventstore/handler.ts';
import type { Log } from '../eventstore/log.ts';
import { createPersonKeys } from '../eventstore/personal/bucket-keys.ts';
import { createMasterKeys } from '../eventstore/personal/master-keys.ts';
import { createPersonalData, type PersonalData } from '../eventstore/personal/personal-data.ts';
import { isAfter, positionOf } from '../eventstore/position.ts';
import type { Runtime } from '../eventstore/runtime.ts';
import { type Engine, startEngine } from '../processes/engine/engine.ts';
import type { Reaction } from '../processes/engine/reaction.ts';
import type { Fired, Timers } from '../processes/engine/timers/timers.ts';
import type { Projection } from '../projections/engine/projection.ts';
import type { ViewStatus } from '../projections/engine/reading.ts';
import { type Projections, startProjections } from '../projections/engine/start.ts';
import { createViewReader, type ViewReader } from '../projections/engine/view-reader.ts';
import {
  createMemoryBucketStore,
  createMemoryBucketStores,
  type MemoryBucketStore,
  type MemoryBucketStores,
  openMemoryBucket,
  openMemoryBuckets,
} from './memory-bucket.ts';
import { createMemoryIndexes } from './memory-indexes.ts';
import { createMemoryStore, type MemoryStore, openMemoryLog } from './memory-log.ts';
import { createMemoryTimerStore, type MemoryTimerStore, openMemoryTimers } from './memory-timers.ts';
import { createWorld, type World, type WorldOptions } from './world.ts';

/** What a process of the ledger works with: the parts that `openLedger` gives, and timers and a clock in memory. */
export interface TestParts {
  readonly log: Log;
  readonly handler: Handler;
  /** Reads rows and lists of every view. */
  readonly reader: ViewReader;
  readonly timers: Timers;
  /** Opens what is sealed in rows and events. */
  readonly personal: PersonalData;
  /** The virtual clock, randomness and ids of this process. */
  readonly runtime: Runtime;
}

/** What runs in a ledger in memory, and what goes wrong in it. */
export interface TestLedgerOptions extends WorldOptions {
  /** Decides order, delays and faults; the same seed gives the same run. 1 unless given. */
  readonly seed?: number;
  readonly views?: readonly Projection[];
  /** Whether fields of events that are marked as a person's are sealed, with keys in memory; false unless given. */
  readonly encrypt?: boolean;
  /** Made anew for each process, with its parts. */
  readonly reactions?: (parts: TestParts) => readonly Reaction[];
  /** What happens when a timer fires, by its kind. */
  readonly onTimer?: (parts: TestParts) => Readonly<Record<string, (fired: Fired) => Promise<void>>>;
}

/** A service in memory, with a clock of its own that jumps to whatever comes next. */
export interface TestLedger extends TestParts {
  readonly world: World;
  /** The row of a view as it stands, parsed and with what is sealed opened; undefined when there is none. Settle first. */
  row(view: string, key: string): Promise<unknown>;
  /**
   * Lets views, reactions and the timers that are due come to an end, on the virtual clock. While faults strike, that end
   * may come too early: `world.calm()` first.
   * @param afterMs so much virtual time passes first, and timers that fall due in it fire in their order
   * @throws Error that names what does not come to rest, after ten minutes of virtual time
   */
  settled(options?: { readonly afterMs?: number }): Promise<void>;
  /** Ends the process that runs views and reactions where it stands, as SIGKILL does; another one takes over. */
  restart(): void;
}

const SETTLE_WITHIN_MS = 600_000;
/** A longer wait with nothing to do is leapt over: nobody runs meanwhile. */
const LEAP_MS = 10_000;
const LOOK_EVERY_MS = 100;
/** Longer than every wait between two tries, so that nobody who seems to rest only waits. */
const AT_REST_MS = 2_000;
const QUICK = { backoffBaseMs: 20, backoffCapMs: 500 };
/** Whoever takes over from a process that died waits until its session has ended. */
const ENGINE = { ...QUICK, groups: 1, ttlMs: 2_000 } as const;

/**
 * Runs `body` beside a service in memory: command handler, views, reactions and timers on a log, buckets and a clock that
 * are functions of the seed. With `faults` the servers fail as that seed says; `body` itself never crashes.
 * @throws what `body` throws; ScheduleError when nothing can go on, with the seed that repeats it
 */
export function inTestLedger<T>(
  options: TestLedgerOptions,
  body: (ledger: TestLedger) => Promise<T>,
): Promise<T> {
  const world = createWorld(options.seed ?? 1, { maxSteps: 1_000_000, ...options });
  const stored: Stored = {
    world,
    log: createMemoryStore(),
    buckets: createMemoryBucketStores(),
    keys: createMemoryBucketStore('keys'),
    timers: createMemoryTimerStore(),
  };
  return world.run(async () => {
    const service = keepService(stored, options);
    const parts = partsOf(stored, options, 'test');
    const views = new Map((options.views ?? []).map((view) => [view.name, view]));
    return body({
      ...parts,
      world,
      restart: service.restart,
      settled: ({ afterMs = 0 } = {}) => settleAfter(stored, parts.runtime, service, afterMs),
      row: async (name, key) => {
        const view = views.get(name);
        if (view === undefined) throw new RangeError(`The ledger has no view ${name}: name it under views.`);
        const row = await parts.reader.row(view, key, { minPosition: positionOf(stored.log.head()) });
        if (row === undefined) return undefined;
        return JSON.parse(Buffer.from(await parts.personal.openJson(row.json)).toString('utf8'));
      },
    });
  });
}

/** What servers would hold, and the world that they stand in. */
interface Stored {
  readonly world: World;
  readonly log: MemoryStore;
  readonly buckets: MemoryBucketStores;
  readonly keys: MemoryBucketStore;
  readonly timers: MemoryTimerStore;
}

/** Anybody may know it: what it protects is in memory. */
const MASTER_KEY = new Uint8Array(32).fill(7);

function partsOf(
  stored: Stored,
  { views = [], encrypt = false }: TestLedgerOptions,
  actor: string,
): TestParts {
  const { world } = stored;
  const plain = world.runtime(actor);
  const runtime = { ...plain, now: () => Math.floor(plain.now()) };
  const log = openMemoryLog(stored.log, { world, actor });
  const buckets = bucketsOf(stored, actor);
  const bucket = openMemoryBucket(stored.keys, { world, actor });
  const keys = createPersonKeys({ bucket, masters: createMasterKeys(MASTER_KEY), runtime });
  const personal = createPersonalData({ keys, encrypt, runtime });
  return {
    log,
    runtime,
    personal,
    handler: createHandler({ log, runtime, personal }),
    reader: createViewReader({ log, buckets, runtime, views, indexStore: createMemoryIndexes() }),
    timers: openMemoryTimers(stored.timers, { world, actor, runtime }),
  };
}

function bucketsOf({ world, buckets }: Stored, actor: string) {
  return openMemoryBuckets(buckets, (store) => openMemoryBucket(store, { world, actor }));
}

/** How the process that runs views and reactions stands. */
interface ServiceStatus {
  /** False while a successor has not started, or has not found out what there is to do. */
  readonly up: boolean;
  readonly views: readonly ViewStatus[];
  readonly consumers: ReturnType<Engine['status']>;
}

interface Service {
  restart(): void;
  /** Nobody runs while so much time passes; then a successor starts. */
  leap(ms: number): Promise<void>;
  status(): ServiceStatus;
}

/** Keeps one process with views and reactions alive: when it dies, a successor starts. */
function keepService(stored: Stored, options: TestLedgerOptions): Service {
  const { world } = stored;
  const clock = world.runtime('clock');
  let started = 0;
  let actor = '';
  let starts: Promise<void> = Promise.resolve();
  let running: { readonly projections: Projections; readonly engine: Engine | undefined } | undefined;
  const start = (): void => {
    actor = `service-${++started}`;
    const ended = world.spawn(actor, () => {
      running = startParts(stored, options, actor);
      return new Promise<never>(() => undefined);
    });
    void ended
      .then(() => {
        running = undefined;
        return starts;
      })
      .then(start);
  };
  start();
  return {
    restart: () => world.crash(actor),
    leap: (ms) => {
      starts = clock.sleep(ms);
      world.crash(actor);
      return starts;
    },
    status: () => ({
      up: running !== undefined && running.engine?.status().length !== 0,
      views: running?.projections.status() ?? [],
      consumers: running?.engine?.status() ?? [],
    }),
  };
}

function startParts(stored: Stored, options: TestLedgerOptions, actor: string) {
  const parts = partsOf(stored, options, actor);
  const { log, runtime, timers } = parts;
  const buckets = bucketsOf(stored, actor);
  const projections = startProjections({
    log,
    buckets,
    runtime,
    projections: options.views ?? [],
    settings: QUICK,
  });
  const consumers = options.reactions?.(parts) ?? [];
  const engine =
    consumers.length === 0
      ? undefined
      : startEngine({ log, buckets, runtime, consumers, settings: { ...ENGINE, instance: actor } });
  const handlers = options.onTimer?.(parts) ?? {};
  timers.deliver(async (fired) => {
    const handle = handlers[fired.kind];
    if (handle === undefined)
      throw new Error(`Nobody handles timers of the kind ${fired.kind}: see onTimer.`);
    await handle(fired);
  });
  return { projections, engine };
}

/** Settles, and again at the time of every timer that falls due until so much time has passed. */
async function settleAfter(
  stored: Stored,
  runtime: Runtime,
  service: Service,
  afterMs: number,
): Promise<void> {
  const until = runtime.now() + afterMs;
  for (;;) {
    await settle(stored, runtime, service.status);
    const left = until - runtime.now();
    if (left <= 0) return;
    const next = Math.min(...[...stored.timers.armed.values()].map(({ due }) => due)) - runtime.now();
    const ms = Math.max(0, Math.min(left, next));
    await (ms > LEAP_MS ? service.leap(ms) : runtime.sleep(ms));
  }
}

async function settle(stored: Stored, runtime: Runtime, status: () => ServiceStatus): Promise<void> {
  const giveUpAt = runtime.now() + SETTLE_WITHIN_MS;
  let restingSince: number | undefined;
  let head = -1;
  for (;;) {
    const busy = busyOf(stored, runtime.now(), status());
    if (busy.length > 0 || stored.log.head() !== head) restingSince = undefined;
    head = stored.log.head();
    restingSince ??= busy.length > 0 ? undefined : runtime.now();
    if (restingSince !== undefined && runtime.now() - restingSince >= AT_REST_MS) return;
    if (runtime.now() > giveUpAt)
      throw new Error(
        `Not at rest after ten minutes of virtual time: ${busy.join(', ') || 'the log goes on growing'}.`,
      );
    await runtime.sleep(LOOK_EVERY_MS);
  }
}

/** What is not at rest, in words. */
function busyOf({ log, timers }: Stored, now: number, { up, views, consumers }: ServiceStatus): string[] {
  const head = positionOf(log.head());
  return [
    ...(up ? [] : ['no process runs']),
    ...views
      .filter(({ position }) => isAfter(head, position))
      .map(({ view }) => `the view ${view} is behind`),
    ...consumers
      .filter(({ groups, stopped, lag, running }) => !stopped && (groups.length === 0 || lag + running > 0))
      .map(({ consumer, lastError }) => `the reaction ${consumer} is behind (${lastError ?? 'no error'})`),
    ...[...timers.armed.values()]
      // One that failed waits for its next try.
      .filter(({ due, attempts }) => due <= now || attempts > 0)
      .map(({ timer }) => `the timer ${timer.kind} is due`),
  ];
}
