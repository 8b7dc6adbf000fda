import { create, toBinary } from '@bufbuild/protobuf';
import type { BatchResult, Bucket, RowWrite } from '../../../src/eventstore/bucket.ts';
import { codecOf } from '../../../src/eventstore/codec/event-codec.ts';
import { LogUnavailable, OutcomeUnknown } from '../../../src/eventstore/errors.ts';
import { type Log, type RecordedCommit, smallerBatches } from '../../../src/eventstore/log.ts';
import { BEGINNING, isAfter, numberOf, type Position, versionAt } from '../../../src/eventstore/position.ts';
import { CommitSchema } from '../../../src/gen/jetledger/eventstore/v1/commit_pb.ts';
import type { GroupCount } from '../../../src/projections/engine/groups.ts';
import { appendEntry, type ListRow, sealFullPage } from '../../../src/projections/engine/lists/list.ts';
import type { ViewIndex } from '../../../src/projections/engine/lists/view-index.ts';
import { createMembers } from '../../../src/projections/engine/members.ts';
import { isRowKey, type Projection } from '../../../src/projections/engine/projection.ts';
import { type Projections, startProjections } from '../../../src/projections/engine/start.ts';
import { createViewReader, type ViewReader } from '../../../src/projections/engine/view-reader.ts';
import {
  added,
  type CounterEvent,
  counter,
  counterRef,
  noted,
  toyCommit,
} from '../../../src/testing/contracts/toy.ts';
import {
  createMemoryBucketStores,
  type MemoryBucketStore,
  openMemoryBucket,
  openMemoryBuckets,
} from '../../../src/testing/memory-bucket.ts';
import { createMemoryIndexes, type MemoryIndexFiles } from '../../../src/testing/memory-indexes.ts';
import { createMemoryStore, type MemoryStore, openMemoryLog } from '../../../src/testing/memory-log.ts';
import { createWake, type World } from '../../../src/testing/world.ts';

interface CounterRow {
  readonly total: number;
  readonly notes: readonly string[];
  readonly version: number;
}

/** Rows of one aggregate; the note `gone` removes the row. Order matters, so that a lost or doubled event shows. */
export const counters: Projection<CounterRow, CounterEvent> = {
  name: 'counters',
  version: 1,
  sources: [counter],
  crossesAggregates: false,
  keyOf: (_event, { stream }) => stream.id,
  evolve: (row, event, { position }) => {
    const { total, notes } = row ?? { total: 0, notes: [] };
    if (event.$typeName === 'google.protobuf.Int32Value') {
      return { total: total * 3 + event.value, notes, version: versionAt(position) };
    }
    if (event.value === 'gone') return undefined;
    return { total, notes: [...notes, event.value], version: versionAt(position) };
  },
};

/** Rows that cross aggregates, in pages of three: which aggregates wrote a note, in the log's order. */
export const authors: Projection<ListRow<string>, CounterEvent> = {
  name: 'authors',
  version: 1,
  sources: [counter],
  crossesAggregates: true,
  keyOf: (event) => (event.$typeName === 'google.protobuf.StringValue' ? `note-${event.value}` : undefined),
  evolve: (row, event, { stream, position }) =>
    event.$typeName === 'google.protobuf.StringValue'
      ? appendEntry(row, `${stream.id}@${numberOf(position)}`, 3)
      : row,
  seal: sealFullPage,
};

/** As `counters`, but the note `y` of two aggregates cannot be applied; they become dead letters. */
export const fragile: Projection<CounterRow, CounterEvent> = {
  ...counters,
  name: 'fragile',
  onUnapplied: 'dead-letter',
  evolve: (row, event, context) => {
    const poison = event.$typeName === 'google.protobuf.StringValue' && event.value === 'y';
    if (poison && 'ab'.includes(context.stream.id)) throw new Error('cannot do this one');
    return counters.evolve(row, event, context);
  },
};

/** Counters by whether they have notes, in the order of their totals. */
export const counterIndex: ViewIndex<CounterRow> = {
  view: counters,
  version: 1,
  columns: { noted: 'integer', total: 'integer' },
  lists: [
    { equal: [], sort: 'total' },
    { equal: ['noted'], sort: 'total', descending: true },
  ],
  entryOf: ({ total, notes }) => ({ noted: Number(notes.length > 0), total }),
};

export const allViews = [counters, authors, fragile] as const;

/** One commit: the aggregate, and for each decision its events; a number is added, a text noted. */
export interface PlannedCommit {
  readonly id: string;
  readonly decisions: readonly (readonly (number | string)[])[];
}

const eventOf = (value: number | string): CounterEvent =>
  typeof value === 'number' ? added(value) : noted(value);

/** Appends a commit behind the aggregate's last one. */
export function appendPlanned(log: MemoryStore, plan: PlannedCommit): void {
  const commitId = `c${log.head() + 1}`;
  const commit = toyCommit(commitId, ...plan.decisions.map((events) => events.map(eventOf)));
  const stream = counterRef(plan.id);
  log.put(stream, log.version(stream), toBinary(CommitSchema, create(CommitSchema, commit)), commitId);
}

type Rows = Record<string, unknown>;

function foldCommit(rows: Rows, commit: RecordedCommit, projection: Projection): Rows {
  const codec = codecOf(projection.sources[0] ?? counter);
  const { stream, position, commitId } = commit;
  const after = { ...rows };
  for (const { actor, traceparent, time, events } of commit.decisions) {
    const context = { stream, position, time: Number(time), commitId, actor, traceparent };
    for (const stored of events) {
      const event = codec.decode(stored);
      const key = projection.keyOf(event, context);
      if (key !== undefined) after[key] = projection.evolve(after[key], event, context);
    }
  }
  return after;
}

/** What a bucket must hold: the plain fold of the log, with none of the engine's parts; a parked row ends early. */
export function plainFold(log: MemoryStore, projection: Projection): Rows {
  let rows: Rows = {};
  const parked = new Set<string>();
  for (let position = 1; position <= log.head(); position++) {
    const commit = log.at(position) as RecordedCommit;
    if (parked.has(commit.stream.id)) continue;
    try {
      rows = foldCommit(rows, commit, projection);
    } catch (error) {
      if (projection.onUnapplied !== 'dead-letter') throw error;
      parked.add(commit.stream.id);
    }
  }
  for (const key of Object.keys(rows)) {
    for (let cut = projection.seal?.(key, rows[key]); cut; cut = projection.seal?.(key, rows[key])) {
      rows[cut.key] = cut.row;
      rows[key] = cut.rest;
    }
  }
  return JSON.parse(JSON.stringify(rows)) as Rows;
}

/** A bucket that can forget its newest writes, as a server that was killed does with `persist_mode: async`. */
export interface ForgetfulStore extends MemoryBucketStore {
  keepFirst(count: number): void;
  /** How often it has forgotten. */
  lives(): number;
  /** Calls once when it forgets next. */
  died(told: () => void): void;
}

function createForgetfulStore(name: string): ForgetfulStore {
  const writes: { key: string; value: Uint8Array; revision: number; position: Position }[] = [];
  let byKey = new Map<string, (typeof writes)[number]>();
  const grown = createWake();
  let lives = 0;
  let mourners: (() => void)[] = [];
  const last = (key: string) => byKey.get(key);
  return {
    name,
    writes,
    grown,
    last,
    lives: () => lives,
    keepFirst: (count) => {
      writes.length = Math.min(count, writes.length);
      byKey = new Map(writes.map((row) => [row.key, row]));
      lives++;
      const told = mourners;
      mourners = [];
      for (const tell of told) tell();
    },
    died: (tell) => mourners.push(tell),
    put: (rows) => {
      if (rows.some((row) => (last(row.key)?.revision ?? 0) !== row.expectedRevision)) return undefined;
      for (const { key, value, position = BEGINNING } of rows) {
        const row = { key, value: value ?? new Uint8Array(), revision: writes.length + 1, position };
        writes.push(row);
        byKey.set(key, row);
      }
      grown.all();
      return writes.length;
    },
  };
}

/**
 * The server's death cuts the connection: what is under way to it never arrives, its answers never come, and the next
 * call learns of it.
 */
function cutByServerDeath(
  open: (store: MemoryBucketStore) => Bucket,
  store: ForgetfulStore,
  tellsRevision: boolean,
): Bucket {
  const connect = (life: number): Bucket =>
    open({ ...store, put: (rows) => (store.lives() === life ? store.put(rows) : undefined) });
  let life = store.lives();
  let bucket = connect(life);
  const checkConnection = (): void => {
    if (store.lives() === life) return;
    life = store.lives();
    bucket = connect(life);
    throw new LogUnavailable(`the connection to ${store.name} was lost`);
  };
  const guard = async <T>(call: () => Promise<T>): Promise<T> => {
    checkConnection();
    const began = life;
    const answer = await call();
    if (store.lives() !== began) throw new OutcomeUnknown(store.name, 0);
    return answer;
  };
  /** As the server's answer to a batch does. */
  const told = async (rows: readonly RowWrite[]): Promise<BatchResult> => {
    const result = (await bucket.writeAll?.(rows)) ?? { written: false };
    const last = rows.at(-1);
    const stored = store.writes.findLast(
      ({ key, position }) => key === last?.key && position === last.position,
    );
    return result.written && tellsRevision && stored !== undefined
      ? { ...result, lastRevision: stored.revision }
      : result;
  };
  return {
    ...bucket,
    get: (key, options) => guard(() => bucket.get(key, options)),
    write: (row) => guard(() => bucket.write(row)),
    writeAll: bucket.writeAll && ((rows) => guard(() => told(rows))),
    watch: (options) => {
      if (options.untilLost !== true) return bucket.watch(options);
      const lost = new AbortController();
      store.died(() => lost.abort());
      return bucket.watch({ ...options, signal: AbortSignal.any([options.signal, lost.signal]) });
    },
    serverId: () => String(store.lives()),
  };
}

/** The same scan in smaller batches, so that views stand at different places more often. */
function inSmallBatches(log: Log, world: World, actor: string): Log {
  return {
    ...log,
    scan: async function* (options) {
      for await (const batch of log.scan(options)) {
        for (const part of smallerBatches(batch, 1 + Math.floor(world.random() * 6))) {
          yield part;
          if (options.signal?.aborted) break;
          if (isAfter(batch.through, part.through)) await world.step('next part of a batch', actor);
        }
      }
    },
  };
}

/** No batches; batches where rows cross aggregates; everywhere; everywhere, and the answer tells the revision. */
export type Batches = 'none' | 'durable' | 'all' | 'told';

/** A log, its buckets, and any number of processes that run the views on them. */
export interface ViewWorld {
  readonly log: MemoryStore;
  /** Starts the views in a process of that name. */
  start(actor: string): Projections;
  /** A process that reads the views, with the indexes that it had before. `around` changes what it reads. */
  reader(actor: string, files: MemoryIndexFiles, around?: (bucket: Bucket) => Bucket): ViewReader;
  /** The live rows of a view's bucket. */
  rows(view: string): Record<string, unknown>;
  store(view: string): ForgetfulStore | undefined;
}

export interface WorldOptions {
  readonly batches: Batches;
  /** Default 1. */
  readonly groups?: GroupCount;
  /** Whether processes divide the groups; default: each runs all of them. */
  readonly shared?: boolean;
}

export function createViewWorld(
  world: World,
  { batches, groups = 1, shared: sharing = false }: WorldOptions,
): ViewWorld {
  const log = createMemoryStore();
  const stores = new Map<string, ForgetfulStore>();
  const shared = createMemoryBucketStores((name) => {
    const store = createForgetfulStore(name);
    stores.set(name, store);
    return store;
  });
  const store = (view: string) => stores.get(`t_${view}_v1`);
  const bucketsOf = (actor: string, around: (bucket: Bucket) => Bucket = (bucket) => bucket) =>
    openMemoryBuckets(shared, (opened, { durable }) => {
      const allowed = batches === 'none' ? false : durable || batches !== 'durable';
      return around(
        cutByServerDeath(
          (store) => openMemoryBucket(store, { world, actor, batches: allowed }),
          stores.get(opened.name) ?? failNoStore(opened.name),
          batches === 'told',
        ),
      );
    });
  return {
    log,
    store,
    reader: (actor, files, around) =>
      createViewReader({
        log: openMemoryLog(log, { world, actor }),
        buckets: bucketsOf(actor, around),
        runtime: world.runtime(actor),
        views: allViews,
        settings: { prefix: 't', groups, resolveMs: 400 },
        indexStore: createMemoryIndexes(files),
        indexes: [counterIndex],
      }),
    start: (actor) => {
      const runtime = world.runtime(actor);
      const place = { world, actor };
      const buckets = bucketsOf(actor);
      const membership = { prefix: 't', memberMs: 2_000 };
      return startProjections({
        log: inSmallBatches(openMemoryLog(log, place), world, actor),
        buckets,
        projections: allViews,
        runtime,
        ...(sharing && { sharing: createMembers({ buckets, runtime, settings: membership }) }),
        settings: {
          ...membership,
          groups,
          maxInFlight: 4,
          batchRows: 8,
          cacheRows: 3,
          maxBacklog: 20,
          checkpointMs: 50,
          resolveMs: 400,
          joinDistance: 10,
          backoffBaseMs: 10,
          backoffCapMs: 100,
          stopMs: 2_000,
        },
      });
    },
    rows: (view) => {
      const live: Record<string, unknown> = {};
      for (const row of store(view)?.writes ?? []) {
        if (!isRowKey(row.key)) continue;
        if (row.value.length === 0) delete live[row.key];
        else live[row.key] = JSON.parse(Buffer.from(row.value).toString('utf8'));
      }
      return live;
    },
  };
}

function failNoStore(name: string): never {
  throw new LogUnavailable(`no store ${name}`);
}
