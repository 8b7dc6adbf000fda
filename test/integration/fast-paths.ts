import { randomUUID } from 'node:crypto';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect, MsgHdrsImpl } from '@nats-io/transport-node';
import fc from 'fast-check';
import type { CommandResult } from '../../src/eventstore/command.ts';
import type { Rejection } from '../../src/eventstore/decider.ts';
import { createHandler } from '../../src/eventstore/handler.ts';
import type { Log } from '../../src/eventstore/log.ts';
import { openNatsLog } from '../../src/eventstore/nats/log-stream.ts';
import { createNatsSnapshotStore } from '../../src/eventstore/nats/nats-bucket.ts';
import { createNatsBuckets, ensureBucket } from '../../src/eventstore/nats/nats-buckets.ts';
import type { Requests } from '../../src/eventstore/nats/requests.ts';
import { numberOf } from '../../src/eventstore/position.ts';
import { type Runtime, systemRuntime } from '../../src/eventstore/runtime.ts';
import type { SnapshotStore } from '../../src/eventstore/snapshots/stored.ts';
import { feedOfViews } from '../../src/ledger/index.ts';
import { isRowKey, type Projection } from '../../src/projections/engine/projection.ts';
import { startProjections } from '../../src/projections/engine/start.ts';
import {
  type CounterCommand,
  type CounterEvent,
  counter,
  counterRef,
  toyValues,
} from '../../src/testing/contracts/toy.ts';
import { createLogStream, WAYS_OF_REQUESTS } from '../support/nats-log.ts';
import { meta } from '../unit/eventstore/kernel.ts';

/** Which of the fast paths are taken. */
export interface Switches {
  /** Not to be switched off in production: without it requests are made by the client's own calls. */
  readonly leanRequests: boolean;
  readonly groupCommit: 'always' | 'off';
  readonly snapshots: boolean;
  readonly coalesceRows: boolean;
}

interface Step {
  /** Few keys: commands are repeated, and keys used for something else. */
  readonly key: number;
  readonly command: CounterCommand;
  readonly expected: 'any' | 'none' | 'exists';
}

const step: fc.Arbitrary<Step> = fc.record({
  key: fc.nat({ max: 40 }),
  command: fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({ kind: fc.constant('add' as const), by: fc.integer({ min: -9, max: 9 }) }),
    },
    fc.record({ kind: fc.constant('note' as const), text: fc.constantFrom('u', 'v', 'w', 'x', 'y', 'z') }),
  ),
  expected: fc.constantFrom('any', 'any', 'any', 'any', 'none', 'exists'),
});
const AGGREGATES = 12;
const ROUNDS = 40;
/** In each round at most one command for each aggregate, all at once: what an aggregate is told depends on nothing else. */
const rounds = fc.sample(
  fc.array(fc.option(step, { nil: undefined }), { minLength: AGGREGATES, maxLength: AGGREGATES }),
  { seed: 8, numRuns: ROUNDS },
);
/** So many rounds go through one process; the next one begins with nothing in memory. */
const ROUNDS_OF_PROCESS = 10;
/** The later processes hold a few aggregates only, so that most commands are decided on whatever snapshot there is. */
const CACHE_OF_PROCESS = [100, 100, 4, 4];

/** One row for each aggregate, in which order shows. */
export const totals: Projection<{ total: number; notes: readonly string[] }, CounterEvent> = {
  name: 'totals',
  version: 1,
  sources: [counter],
  crossesAggregates: false,
  keyOf: (_event, { stream }) => stream.id,
  evolve: (row, event) => {
    const { total, notes } = row ?? { total: 0, notes: [] };
    return event.$typeName === 'google.protobuf.Int32Value'
      ? { total: total * 3 + event.value, notes }
      : { total, notes: [...notes, event.value] };
  },
};

/** A clock that stands still and counted ids; what the server does with time is its own affair. */
function fixedRuntime(): Runtime {
  let ids = 0;
  return {
    now: () => 1_900_000_000_000,
    random: () => 0.5,
    id: () => `c${++ids}`,
    sleep: systemRuntime.sleep,
  };
}

/** What was sent to the server, by subject. */
interface Sent {
  readonly subject: string;
  /** The last message of a batch, which is the one that is answered. */
  readonly endsBatch: boolean;
}

function recorded(requests: Requests, sent: Sent[]): Requests {
  return {
    ...requests,
    request: (subject, payload, options) => {
      const headers = Buffer.from(options.headers instanceof MsgHdrsImpl ? options.headers.encode() : '');
      sent.push({ subject, endsBatch: headers.includes('Nats-Batch-Commit') });
      return requests.request(subject, payload, options);
    },
  };
}

/** The same store, and how often a snapshot was written and found. */
function countedStore(store: SnapshotStore) {
  const counts = { put: 0, found: 0 };
  const get = async (key: string): Promise<Uint8Array | undefined> => {
    const bytes = await store.get(key);
    if (bytes !== undefined) counts.found++;
    return bytes;
  };
  const put = (key: string, value: Uint8Array): Promise<void> => {
    counts.put++;
    return store.put(key, value);
  };
  return { counts, store: { ...store, get, put } };
}

/** A log of its own on the server, and what a process has, switched as told. */
export async function openWorld(url: string, switches: Switches) {
  const prefix = `jl${randomUUID().slice(0, 8)}`;
  const names = { stream: prefix, prefix };
  await createLogStream(url, names);
  const connection = await connect({ servers: url, noAsyncTraces: true });
  const sent: Sent[] = [];
  const requests = recorded(WAYS_OF_REQUESTS[switches.leanRequests ? 'lean' : 'plain'](connection), sent);
  const runtime = fixedRuntime();
  const bounds = { attemptTimeoutMs: 5_000, deadlineMs: 10_000 };
  const { groupCommit } = switches;
  const { log } = await openNatsLog({ requests, runtime, ...names, ...bounds, groupCommit });
  const bucket = `${prefix}_snapshots`;
  await ensureBucket(await jetstreamManager(connection), bucket, {
    replicas: 1,
    storage: 'file',
    persist: 'async',
  });
  const { store, counts } = countedStore(createNatsSnapshotStore({ requests, bucket, timeoutMs: 5_000 }));
  const onWrong = (wrong: unknown): never => {
    throw new Error(`a snapshot was wrong: ${JSON.stringify(wrong)}`);
  };
  const snapshots = switches.snapshots
    ? { snapshots: { store, settings: { verifyShare: 1, fewestCommands: 2 }, onWrong } }
    : {};
  return {
    log,
    prefix,
    sent,
    snapshots: counts,
    startProcess: (cacheEntries = 0) =>
      createHandler({ log, runtime, settings: { cacheEntries }, ...snapshots }),
    buckets: createNatsBuckets({ requests, runtime, replicas: 1, timeoutMs: 5_000, announceLosses: true }),
    close: async () => {
      requests.close();
      await connection.close();
    },
  };
}

export type FastPathWorld = Awaited<ReturnType<typeof openWorld>>;

const idOf = (index: number): string => `a${index}`;

/** Executes the plan; returns what each command was told, round by round, with the log's versions in it. */
export async function executePlan({ startProcess }: FastPathWorld) {
  const answers: { id: string; result: CommandResult<unknown, CounterEvent, Rejection> }[][] = [];
  let handler = startProcess();
  for (const [turn, round] of rounds.entries()) {
    if (turn % ROUNDS_OF_PROCESS === 0) {
      await handler.close();
      handler = startProcess(CACHE_OF_PROCESS[turn / ROUNDS_OF_PROCESS]);
    }
    const told = round.map(async (planned, index) => {
      if (planned === undefined) return [];
      const { key, command, expected } = planned;
      const id = idOf(index);
      const about = meta(`${id}-${key}`, JSON.stringify(command));
      return [{ id, result: await handler.execute(counter, id, command, about, { expected }) }];
    });
    answers.push((await Promise.all(told)).flat());
  }
  await handler.close();
  return answers;
}

/** What the log holds of each aggregate, and the place of each version in the aggregate's own history. */
export async function readHistories(log: Log) {
  const histories = new Map<string, unknown[]>();
  const places = new Map([[0, 0]]);
  for (let index = 0; index < AGGREGATES; index++) {
    const history: unknown[] = [];
    for (let after = 0, more = true; more; ) {
      const page = await log.read(counterRef(idOf(index)), { after, confirm: true });
      for (const commit of page.commits) {
        history.push(
          commit.decisions.map((decision) => [
            decision.commandId,
            Number(decision.time),
            ...toyValues([decision]),
          ]),
        );
        places.set(numberOf(commit.position), history.length);
        after = numberOf(commit.position);
      }
      more = page.more;
    }
    histories.set(idOf(index), history);
  }
  const placeOf = (version: number): number => {
    const place = places.get(version);
    if (place === undefined) throw new RangeError(`no commit has the version ${version}`);
    return place;
  };
  return { histories, placeOf };
}

/** Lets views read the whole log into buckets of their own; returns the rows of each as they are stored. */
export async function fillViews(
  world: FastPathWorld,
  prefix: string,
  projections: readonly Projection[],
  switches: Pick<Switches, 'coalesceRows'>,
) {
  const { buckets } = world;
  const { log, settings } = feedOfViews(world.log, switches);
  const views = startProjections({
    log,
    buckets,
    projections,
    runtime: systemRuntime,
    settings: { prefix, ...settings },
  });
  await views.waitUntil(await log.head());
  await views.stop();
  const filled = projections.map(async ({ name }) => {
    const bucket = await buckets.open(`${prefix}_${name}_v1`);
    const rows: { key: string; value: unknown; position: number }[] = [];
    for await (const { key, value, position } of bucket?.rows() ?? []) {
      if (isRowKey(key))
        rows.push({ key, value: JSON.parse(Buffer.from(value).toString()), position: numberOf(position) });
    }
    return rows.toSorted((a, b) => (a.key < b.key ? -1 : 1));
  });
  return Promise.all(filled);
}
