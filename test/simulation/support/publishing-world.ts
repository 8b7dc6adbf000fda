import { create, toBinary } from '@bufbuild/protobuf';
import type { Bucket } from '../../../src/eventstore/bucket.ts';
import { eventIdOf } from '../../../src/eventstore/reading/recorded-event.ts';
import { CommitSchema } from '../../../src/gen/jetledger/eventstore/v1/commit_pb.ts';
import { type Engine, startEngine } from '../../../src/processes/engine/engine.ts';
import {
  createPublisher,
  type PublicStream,
  type PublisherDeps,
  storedOf,
} from '../../../src/processes/engine/publishing/publisher.ts';
import type { Reaction } from '../../../src/processes/engine/reaction.ts';
import { toBytes } from '../../../src/processes/engine/rows.ts';
import { added, counterRef, noted, toyCommit, toyValues } from '../../../src/testing/contracts/toy.ts';
import { createMemoryBucketStores } from '../../../src/testing/memory-bucket.ts';
import { createMemoryStore, type MemoryStore, openMemoryLog } from '../../../src/testing/memory-log.ts';
import { createPrng, createWorld, type Faults } from '../../../src/testing/world.ts';
import {
  createMemoryPublicStore,
  type MemoryPublicStore,
  openMemoryPublicStream,
} from '../../support/memory-public-stream.ts';
import { toyContract } from '../../support/toy-contract.ts';
import { pick } from './email-scenario.ts';
import { openBuckets, simulatedSettings } from './engine-world.ts';
import { type Freezable, freezable } from './freezable.ts';

/** What is committed, when instances hang, and whether messages expire. */
export interface PublishingScenario {
  /** The values of a commit: one that is negative stays private, as a note does. */
  readonly commits: readonly {
    readonly id: string;
    readonly values: readonly number[];
    readonly pauseMs: number;
  }[];
  readonly hangs: readonly { readonly place: number; readonly atMs: number; readonly forMs: number }[];
  readonly expires: boolean;
}

const AGGREGATES = ['a', 'b', 'c'] as const;
/** Longer than any instance hangs, and shorter than a schedule in which messages expire. */
const KEEP_MS = 20_000;

export function publishingScenarioOf(seed: number): PublishingScenario {
  const prng = createPrng(seed ^ 0x24);
  const expires = prng() < 0.5;
  const commits = Array.from({ length: 4 + pick(prng, 12) }, (_, at) => ({
    id: AGGREGATES[pick(prng, AGGREGATES.length)] ?? 'a',
    values: Array.from({ length: 1 + pick(prng, 3) }, (_, of) => (prng() < 0.2 ? -1 : 10 * at + of)),
    pauseMs: prng() < 0.5 ? 0 : pick(prng, expires ? 1.5 * KEEP_MS : 1_000),
  }));
  const hangs = Array.from({ length: pick(prng, 4) }, () => ({
    place: pick(prng, 2),
    atMs: pick(prng, expires ? 60_000 : 8_000),
    forMs: 500 + pick(prng, 6_000),
  }));
  return { commits, hangs, expires };
}

export function* smallerPublishingScenario(scenario: PublishingScenario): Generator<PublishingScenario> {
  for (const part of ['commits', 'hangs'] as const) {
    for (const at of scenario[part].keys())
      yield { ...scenario, [part]: scenario[part].filter((_, other) => other !== at) };
  }
}

/** Spoils what a publisher works with; makes the fault that the simulation must find. */
export interface PublishingPlant {
  deps?(deps: PublisherDeps, store: MemoryPublicStore): PublisherDeps;
  reaction?(reaction: Reaction): Reaction;
}

/** The fences of protocol 33, each switched off. */
export const publishingPlants: Readonly<Record<string, PublishingPlant>> = {
  'a message that is published without a fence': {
    deps: (deps, store) =>
      withStream(deps, ({ store: plain }) => ({
        store: (outgoing) => plain(outgoing, store.kept(outgoing.event.subject).at(-1)?.place ?? 0),
      })),
  },
  'a mark that names the event behind it': {
    deps: (deps) =>
      withStream(deps, ({ last }) => ({
        last: async (id) => {
          const found = await last(id);
          return found && { ...found, mark: { ...found.mark, index: found.mark.index + 1 } };
        },
      })),
  },
  'a commit that counts as done before it is published': {
    reaction: (reaction) => ({
      ...reaction,
      handle: async (...given) => void reaction.handle(...given).catch(() => undefined),
    }),
  },
  'no mark where messages expire': { deps: (deps) => ({ ...deps, marks: undefined }) },
  'a mark that is written before its message': {
    deps: (deps) =>
      withStream(deps, ({ store: plain }) => ({
        store: async (outgoing, after) => {
          const key = `counters-v1.${outgoing.event.subject}`;
          const row = await deps.marks?.get(key, { leader: true });
          const value = toBytes(storedOf(outgoing.mark));
          await deps.marks?.write({ key, value, expectedRevision: row?.revision ?? 0 });
          return plain(outgoing, after);
        },
      })),
  },
};

function withStream(
  deps: PublisherDeps,
  spoil: (stream: PublicStream) => Partial<PublicStream>,
): PublisherDeps {
  return { ...deps, stream: { ...deps.stream, ...spoil(deps.stream) } };
}

const FAULTS: Partial<Faults> = {
  staleRead: 0.1,
  lostAck: 0.02,
  lateLanding: 0.02,
  lostSend: 0.02,
  unavailable: 0.02,
  brokenScan: 0.02,
  redelivery: 0.1,
  delay: 0.03,
  crash: 0.002,
};
/** Nothing here is so bad that it becomes a dead letter. */
const PATIENT = { attempts: 1_000, laneHeld: 100, maxHeld: 100, deadLetterAfterMs: 1e9 };
const DEADLINE_MS = 60_000;

/** Runs one schedule to its end. */
export async function runPublishingSchedule(
  seed: number,
  scenario: PublishingScenario = publishingScenarioOf(seed),
  plant: PublishingPlant = {},
): Promise<{ readonly violations: readonly string[]; readonly trace: readonly string[] }> {
  const world = createWorld(seed, { faults: FAULTS, longestDelayMs: 3_000, maxSteps: 400_000 });
  const log = createMemoryStore();
  const stores = createMemoryBucketStores();
  const published = createMemoryPublicStore(world.now, scenario.expires ? KEEP_MS : undefined);
  const clock = world.runtime('clock');
  const instances: ({ engine: Engine } & Pick<Freezable, 'hang'>)[] = [];
  const problems = new Set<string>();
  let started = 0;
  let over = false;

  const startInstance = (place: number): void => {
    const actor = `i${place}-${++started}`;
    const running = world.spawn(actor, async (plain) => {
      const frozen = freezable(world, { ...plain, now: () => Math.floor(plain.now()) });
      const { runtime } = frozen;
      const ownLog = frozen.log(openMemoryLog(log, { world, actor }));
      const buckets = openBuckets(stores, world, actor, frozen.bucket);
      const stream = slow(openMemoryPublicStream(published, { world, actor, runtime }), runtime);
      const marks = scenario.expires ? await marksOf(stores, { world, actor }, frozen.bucket) : undefined;
      const honest = { contract: toyContract, log: ownLog, stream, marks, source: '/toy' };
      const reaction = createPublisher(plant.deps?.(honest, published) ?? honest);
      const engine = startEngine({
        log: ownLog,
        buckets,
        runtime,
        consumers: [plant.reaction?.(reaction) ?? reaction],
        settings: { ...simulatedSettings, ...PATIENT, instance: actor },
        onError: (_, error) => problems.add(`stopped: ${String(error)}`),
      });
      instances[place] = { engine, hang: frozen.hang };
      await new Promise(() => undefined);
    });
    void running.then(() => {
      if (!over) startInstance(place);
    });
  };

  return world.run(async () => {
    for (const place of [0, 1]) startInstance(place);
    await Promise.all([
      ...scenario.hangs.map(async ({ place, atMs, forMs }) => {
        await clock.sleep(atMs);
        instances[place]?.hang(forMs);
      }),
      (async () => {
        for (const { id, values, pauseMs } of scenario.commits) {
          await clock.sleep(pauseMs);
          commit(log, id, values);
        }
      })(),
    ]);
    const start = world.now();
    while (violationsOf(log, published).length > 0 && world.now() - start < DEADLINE_MS)
      await clock.sleep(2_000);
    over = true;
    return { violations: [...problems, ...violationsOf(log, published)], trace: world.trace() };
  });
}

/** What a process asks of the stream it may ask for late, after all others. */
function slow(stream: PublicStream, { sleep, random }: Freezable['runtime']): PublicStream {
  return {
    ...stream,
    store: async (outgoing, after) => {
      if (random() < 0.2) await sleep(random() * 3_000);
      return stream.store(outgoing, after);
    },
  };
}

async function marksOf(
  stores: ReturnType<typeof createMemoryBucketStores>,
  { world, actor }: { world: ReturnType<typeof createWorld>; actor: string },
  around: (bucket: Bucket) => Bucket,
): Promise<Bucket> {
  return openBuckets(stores, world, actor, around).create('t_published', { durable: true });
}

function commit(log: MemoryStore, id: string, values: readonly number[]): void {
  const stream = counterRef(id);
  const commitId = `c${log.head() + 1}`;
  const bytes = toBinary(
    CommitSchema,
    create(CommitSchema, toyCommit(commitId, [...values.map(added), noted('private')])),
  );
  log.put(stream, log.version(stream), bytes, commitId);
}

/** What was published of each aggregate is the plain map of the log: each public event once, in order, numbered from 1. */
function violationsOf(log: MemoryStore, { stored }: MemoryPublicStore): string[] {
  return AGGREGATES.flatMap((id) => {
    const due = log
      .ofStream(counterRef(id), 0, log.head(), Number.POSITIVE_INFINITY)
      .flatMap(({ commitId, decisions }) =>
        toyValues([...decisions]).flatMap((value, index) =>
          typeof value === 'number' && value >= 0 ? [eventIdOf(commitId, counterRef(id), index)] : [],
        ),
      );
    const wanted = due.map((eventId, index) => `${index + 1} ${eventId}`);
    const told = stored
      .filter(({ event }) => event.subject === id)
      .map(({ event }) => `${event.sequence} ${event.id}`);
    return wanted.join() === told.join() ? [] : [`${id}: ${told.join(', ')} instead of ${wanted.join(', ')}`];
  });
}
