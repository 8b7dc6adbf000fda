import type { Bucket, Row } from '../../../src/eventstore/bucket.ts';
import { BEGINNING } from '../../../src/eventstore/position.ts';
import { entryKey, parseEntryKey } from '../../../src/processes/engine/dead-letters/entry.ts';
import { type Feed, orderedFeed } from '../../../src/processes/engine/delivery.ts';
import type { EngineDeps } from '../../../src/processes/engine/engine.ts';
import { type Buckets, toBytes } from '../../../src/processes/engine/rows.ts';
import type { EngineSettings } from '../../../src/processes/engine/settings.ts';
import { startKey } from '../../../src/processes/engine/start.ts';
import type { EnginePlant } from './engine-world.ts';

/** The fences of protocols 7, 8 and 9, each switched off. The simulation must notice every one. */
export const enginePlants: Readonly<Record<string, EnginePlant>> = {
  'delivering the new before what a dead worker held': () => (deps) => ({ ...deps, feed: newestFirst }),
  'a cursor that acknowledges everything below the newest': () => (deps) =>
    withBucket(deps, 'cursors', (bucket) => ({ ...bucket, write: (row) => bucket.write(withoutGaps(row)) })),
  'a cursor without the timers that are held back': () => (deps) =>
    withBucket(deps, 'cursors', (bucket) => ({
      ...bucket,
      write: (row) => bucket.write(withoutTimers(row)),
    })),
  'a cursor that a zombie may write': () => (deps) => withBucket(deps, 'cursors', unfenced),
  'counting as done before the entry is stored': () => ackBeforePark,
  'a lane without its parked set': () => (deps) => withBucket(deps, 'parked', forgetful),
  'a park that a zombie may write': () => (deps) => withBucket(deps, 'parked', unfenced),
  'a start that each group resolves for itself': () => (deps) => withBucket(deps, 'cursors', withoutStart),
  'a request that is not seen': () => (deps) => withBucket(deps, 'parked', deafToRequests),
  'no bound on what is held back': () => (deps) => {
    const unbounded: Partial<EngineSettings> = { maxHeld: 1e9, laneHeld: 1e9, deadLetterAfterMs: 1e9 };
    return { ...deps, settings: { ...deps.settings, ...unbounded } };
  },
};

function withBucket(deps: EngineDeps, name: string, spoil: (bucket: Bucket) => Bucket): EngineDeps {
  const { buckets } = deps;
  const spoilt: Buckets = {
    ...buckets,
    create: async (full, traits) => {
      const bucket = await buckets.create(full, traits);
      return full.endsWith(`_${name}`) ? spoil(bucket) : bucket;
    },
  };
  return { ...deps, buckets: spoilt };
}

/** As a durable consumer does after `ack_wait`: what came last is at hand, what was in flight comes again later. */
const newestFirst: Feed = async function* (options) {
  for await (const { commits, through, pending } of orderedFeed(options)) {
    const half = Math.ceil(commits.length / 2);
    const first = commits[half - 1]?.position ?? through;
    yield { commits: commits.slice(half), through, pending };
    yield { commits: commits.slice(0, half), through: first, pending };
  }
};

function withoutTimers<W extends { readonly value: Uint8Array | undefined }>(row: W): W {
  if (row.value === undefined) return row;
  const { timers: _, ...value } = JSON.parse(Buffer.from(row.value).toString('utf8')) as { timers?: unknown };
  return { ...row, value: toBytes(value) };
}

function withoutGaps<W extends { readonly value: Uint8Array | undefined }>(row: W): W {
  if (row.value === undefined) return row;
  const value = JSON.parse(Buffer.from(row.value).toString('utf8')) as object;
  return { ...row, value: toBytes({ ...value, open: [] }) };
}

/** Nobody is told where another began. */
function withoutStart(bucket: Bucket): Bucket {
  const isStart = (key: string): boolean => key.startsWith(startKey(''));
  return {
    ...bucket,
    get: async (key, how) => (isStart(key) ? undefined : bucket.get(key, how)),
    write: async (row) => (isStart(row.key) ? { written: true, revision: 1 } : bucket.write(row)),
  };
}

/** Whoever writes is believed to have read what is there. */
function unfenced(bucket: Bucket): Bucket {
  const anyway = async <W extends { readonly key: string }>(row: W): Promise<W> => ({
    ...row,
    expectedRevision: (await bucket.get(row.key, { leader: true }))?.revision ?? 0,
  });
  const { writeAll } = bucket;
  return {
    ...bucket,
    // Without its fence the leader's answer about it is no answer either.
    write: async (row) => bucket.write(await anyway(row)),
    writeAll:
      writeAll &&
      (async (rows) => {
        const [fence, ...entries] = rows;
        return fence === undefined ? { written: false } : writeAll([await anyway(fence), ...entries]);
      }),
  };
}

/** Swallows the error and writes the entry in its own time. */
function ackBeforePark(deps: EngineDeps): EngineDeps {
  const { runtime, buckets, settings } = deps;
  const consumers = deps.consumers.map((consumer) => ({
    ...consumer,
    handle: async (...[delivery, context]: Parameters<typeof consumer.handle>) => {
      try {
        await consumer.handle(delivery, context);
      } catch (error) {
        if (delivery.redriven || (error instanceof Error && error.message !== 'poison')) throw error;
        const { stream, position, commitId } = delivery;
        const entry = { consumer: consumer.name, ...stream, position, commitId, behind: false, attempts: 1 };
        const write = async (): Promise<void> => {
          await runtime.sleep(200);
          const bucket = await buckets.create(`${settings?.prefix}_parked`, { durable: true });
          const key = entryKey(consumer.name, stream, position);
          const value = toBytes({ ...entry, events: [], firstAt: 1, lastAt: 1, traceId: '', write: 'x' });
          await bucket.write({ key, value, expectedRevision: 0, position: BEGINNING });
        };
        void write().catch(() => undefined);
      }
    },
  }));
  return { ...deps, consumers };
}

/** What was parked before this process came is not loaded. */
function forgetful(bucket: Bucket): Bucket {
  return {
    ...bucket,
    watch: async function* ({ signal, caughtUp }) {
      let loading = true;
      const told = (): void => {
        loading = false;
        caughtUp?.();
      };
      for await (const row of bucket.watch({ signal, caughtUp: told })) {
        if (!loading || parseEntryKey(row.key) === undefined) yield row;
      }
    },
    rows: async function* (options) {
      for await (const row of bucket.rows(options)) if (parseEntryKey(row.key) === undefined) yield row;
    },
  };
}

function deafToRequests(bucket: Bucket): Bucket {
  const isRequest = (row: Row): boolean => Buffer.from(row.value).includes('"requested"');
  return {
    ...bucket,
    watch: async function* (options) {
      for await (const row of bucket.watch(options)) if (!isRequest(row)) yield row;
    },
    rows: async function* (options) {
      for await (const row of bucket.rows(options)) yield isRequest(row) ? withoutRequest(row) : row;
    },
  };
}

function withoutRequest(row: Row): Row {
  const { request: _, ...entry } = JSON.parse(Buffer.from(row.value).toString('utf8')) as {
    request: unknown;
  };
  return { ...row, value: toBytes(entry) };
}
