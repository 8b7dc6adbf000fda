import { create, type Message, toBinary } from '@bufbuild/protobuf';
import type { Bucket } from '../../../src/eventstore/bucket.ts';
import { EventStoreError, LogUnavailable } from '../../../src/eventstore/errors.ts';
import type { Log } from '../../../src/eventstore/log.ts';
import { BEGINNING, numberOf, versionAt } from '../../../src/eventstore/position.ts';
import type { Runtime } from '../../../src/eventstore/runtime.ts';
import { CommitSchema } from '../../../src/gen/jetledger/eventstore/v1/commit_pb.ts';
import type { ReactionContext } from '../../../src/processes/engine/cause.ts';
import { createDeadLetterPort } from '../../../src/processes/engine/dead-letters/operator-port.ts';
import { type Engine, type EngineDeps, startEngine } from '../../../src/processes/engine/engine.ts';
import type { Delivery, Reaction } from '../../../src/processes/engine/reaction.ts';
import type { Buckets } from '../../../src/processes/engine/rows.ts';
import type { EngineSettings } from '../../../src/processes/engine/settings.ts';
import { added, counter, counterRef, toyCommit } from '../../../src/testing/contracts/toy.ts';
import {
  createMemoryBucketStores,
  type MemoryBucketStores,
  openMemoryBucket,
  openMemoryBuckets,
} from '../../../src/testing/memory-bucket.ts';
import { createMemoryStore, type MemoryStore, openMemoryLog } from '../../../src/testing/memory-log.ts';
import { createMemoryTimerStore, openMemoryTimers } from '../../../src/testing/memory-timers.ts';
import { createWorld, type Faults, type World } from '../../../src/testing/world.ts';
import {
  causeOf,
  EFFECT,
  orderViolations,
  ownershipViolations,
  parkedNow,
  startIn,
  TIMER,
  timerViolations,
} from './engine-invariants.ts';
import { type EngineScenario, engineScenarioOf } from './engine-scenario.ts';
import { type Freezable, freezable } from './freezable.ts';

/** Spoils what an instance works with; makes the fault that the simulation must find. One per schedule. */
export type EnginePlant = (world: World) => (deps: EngineDeps) => EngineDeps;

const honest: EnginePlant = () => (deps) => deps;

const FAULTS: Partial<Faults> = {
  staleRead: 0.1,
  lostAck: 0.01,
  lateLanding: 0.01,
  lostSend: 0.01,
  unavailable: 0.01,
  brokenScan: 0.02,
  redelivery: 0.1,
  delay: 0.03,
  crash: 0.0007,
};
const INSTANCES = 2;
const LONGEST_DELAY_MS = 3_000;
/** By then everything must be done, in milliseconds from the start. */
const DEADLINE_MS = 90_000;
const PREFIX = 't';
/** More commits of a group in memory than this are a violation. */
export const MAX_HELD = 4;

export const simulatedSettings = {
  prefix: PREFIX,
  groups: 4,
  ttlMs: 2_000,
  cursorMs: 100,
  cursorLongestMs: 300,
  cursorChanges: 3,
  timerHoldMs: 1_000,
  concurrency: 3,
  maxHeld: MAX_HELD,
  laneHeld: 3,
  deadLetterAfterMs: 3_000,
  backoffBaseMs: 50,
  backoffCapMs: 500,
  attempts: 4,
  stopMs: 1_000,
} as const satisfies Partial<EngineSettings>;

/** How one schedule went. */
export interface EngineRun {
  /** Everything that must not be, as sentences; empty = all is well. */
  readonly violations: readonly string[];
  readonly trace: readonly string[];
}

/** Runs one schedule to its end. */
export async function runEngineSchedule(
  seed: number,
  scenario: EngineScenario = engineScenarioOf(seed),
  plant: EnginePlant = honest,
): Promise<EngineRun> {
  const world = createWorld(seed, { faults: FAULTS, longestDelayMs: LONGEST_DELAY_MS, maxSteps: 400_000 });
  const log = createMemoryStore();
  const stores = createMemoryBucketStores();
  const armed = createMemoryTimerStore();
  const storeOf = (name: string) => stores.stores.get(`${PREFIX}_${name}`)?.store;
  const parked = () => storeOf('parked');
  const spoil = plant(world);
  const shop = { repaired: false, problems: new Set<string>() };
  const clock = world.runtime('clock');
  const instances: ({ engine: Engine } & Pick<Freezable, 'hang' | 'cutOff'>)[] = [];
  let lives = 0;
  let over = false;

  const startInstance = (place: number): void => {
    const actor = `i${place}-${++lives}`;
    const life = world.spawn(actor, async (plain) => {
      const frozen = freezable(world, { ...plain, now: () => Math.floor(plain.now()) });
      const ownLog = frozen.log(openMemoryLog(log, { world, actor }));
      const buckets = openBuckets(stores, world, actor, frozen.bucket);
      const timers = openMemoryTimers(armed, { runtime: frozen.runtime, world, actor });
      const consumer = { ...copier(ownLog, frozen.runtime, shop, scenario.from), timers };
      const settings = { ...simulatedSettings, instance: actor };
      const deps = { log: ownLog, buckets, runtime: frozen.runtime, consumers: [consumer], settings };
      const engine = startEngine(
        spoil({ ...deps, onError: (_, error) => shop.problems.add(`stopped: ${String(error)}`) }),
      );
      instances[place] = { engine, hang: frozen.hang, cutOff: frozen.cutOff };
      await new Promise(() => undefined);
    });
    void life.then(() => {
      if (!over) startInstance(place);
    });
  };
  const look = (): void => {
    for (const { engine } of instances) {
      for (const { held, groups } of engine.status()) {
        if (held > MAX_HELD * groups.length) shop.problems.add('too many commits are held back');
      }
    }
  };
  const operator = createDeadLetterPort({
    buckets: openBuckets(stores, world, 'operator'),
    prefix: PREFIX,
    runtime: world.runtime('operator'),
  });
  const operate = async (what: 'redrive' | 'discard'): Promise<void> => {
    await operator[what]({}, { by: 'operator' }).catch((error: unknown) => {
      if (!(error instanceof EventStoreError && error.retryable)) throw error;
    });
  };
  const unordered = () => orderViolations(log, parked(), startIn(storeOf('cursors'), scenario));
  const unarmed = () => timerViolations(log, parked(), armed);
  const isDone = (): boolean =>
    parkedNow(parked()).length === 0 && unordered().length === 0 && unarmed().length === 0;

  return world.run(async () => {
    for (let place = 0; place < INSTANCES; place++) startInstance(place);
    await Promise.all([
      produce(log, clock, scenario, look),
      ...scenario.hangs.map(async ({ place, atMs, forMs }) => {
        await clock.sleep(atMs);
        instances[place]?.hang(forMs);
      }),
      ...scenario.outages.map(async ({ atMs, forMs }) => {
        await clock.sleep(atMs);
        for (const { cutOff } of instances) cutOff(forMs);
      }),
      ...scenario.operations.map(async ({ atMs, what }) => {
        await clock.sleep(atMs);
        await operate(what);
      }),
    ]);
    shop.repaired = true;
    const start = world.now();
    while (!isDone() && world.now() - start < DEADLINE_MS) {
      await clock.sleep(4_000);
      look();
      await operate('redrive');
    }
    over = true;
    const forgotten = parkedNow(parked()).map((position) => `${position} is parked for ever`);
    const owned = ownershipViolations(parked(), storeOf('cursors'));
    const violations = [...shop.problems, ...unordered(), ...unarmed(), ...forgotten, ...owned];
    return { violations, trace: world.trace() };
  });
}

async function produce(
  log: MemoryStore,
  clock: Runtime,
  { commits }: EngineScenario,
  look: () => void,
): Promise<void> {
  for (const { id, poison, pauseMs } of commits) {
    if (pauseMs > 0) await clock.sleep(pauseMs);
    look();
    const stream = counterRef(id);
    const commitId = `c${log.head() + 1}`;
    const commit = toyCommit(commitId, [added(poison ? -1 : 1)]);
    log.put(stream, log.version(stream), toBinary(CommitSchema, create(CommitSchema, commit)), commitId);
  }
}

export function openBuckets(
  stores: MemoryBucketStores,
  world: World,
  actor: string,
  around: (bucket: Bucket) => Bucket = (bucket) => bucket,
): Buckets {
  return openMemoryBuckets(stores, (store) => around(openMemoryBucket(store, { world, actor })));
}

class Poison extends Error {
  readonly retryable = false;
}

/** Of timers that nobody waits for here. */
const FAR_MS = 1e9;

/** Appends for each commit one effect, fenced by the version that it has read. The first one arms a timer. */
export function copier(
  log: Log,
  runtime: Runtime,
  shop: { readonly repaired: boolean },
  from: Reaction['from'] = 'beginning',
): Reaction {
  const handle = async (
    { stream, position, events }: Delivery<Message>,
    { timers }: ReactionContext,
  ): Promise<void> => {
    const [first] = events;
    const poison = first !== undefined && 'value' in first.event && first.event.value === -1;
    if (poison && !shop.repaired) throw new Poison('poison');
    if (!shop.repaired && runtime.random() < 0.1) throw new LogUnavailable('flaky');
    const target = { category: EFFECT, id: stream.id };
    if (runtime.random() < 0.2) await runtime.sleep(runtime.random() * 3_000);
    const { commits } = await log.read(target, { after: 0, confirm: true });
    const causes = commits.map(({ commitId }) => causeOf(commitId));
    if (causes.length === 0 || causes[0] === numberOf(position))
      await timers?.arm({ kind: TIMER, id: stream.id, at: FAR_MS + runtime.now() });
    if (causes.includes(numberOf(position))) return;
    if (runtime.random() < 0.2) await runtime.sleep(runtime.random() * 3_000);
    const commit = toyCommit(`e-${runtime.id()}@${numberOf(position)}`, [added(1)]);
    const result = await log.append(target, versionAt(commits.at(-1)?.position ?? BEGINNING), commit);
    if (!result.appended) throw new LogUnavailable('another was first');
  };
  return { name: 'copier', sources: [counter], from, handle };
}
