import { LogUnavailable, mayHeal } from '../../../src/eventstore/errors.ts';
import type { Runtime } from '../../../src/eventstore/runtime.ts';
import type {
  Deliverable,
  DeliveryOutlet,
  DeliverySettings,
  DeliverySource,
  GivenUpEvent,
  Receiver,
  Tried,
} from '../../../src/processes/delivery/port.ts';
import type { StoredReceiver } from '../../../src/processes/delivery/receiver.ts';
import { deliveryWorker, type Receivers } from '../../../src/processes/delivery/worker.ts';
import { type Engine, startEngine } from '../../../src/processes/engine/engine.ts';
import { OwnershipLost } from '../../../src/processes/engine/errors.ts';
import { parseRow } from '../../../src/processes/engine/rows.ts';
import { createMemoryBucketStores, type MemoryBucketStores } from '../../../src/testing/memory-bucket.ts';
import { createMemoryStore, openMemoryLog } from '../../../src/testing/memory-log.ts';
import { createPrng, createWorld, type Faults, type World } from '../../../src/testing/world.ts';
import { createShelf, type Shelf } from '../../unit/processes/delivery/shelf.ts';
import { copyPlaces, placeIn } from './delivery-places.ts';
import type { DeliveryPlant } from './delivery-plants.ts';
import { pick } from './email-scenario.ts';
import { openBuckets, simulatedSettings } from './engine-world.ts';
import { type Freezable, freezable } from './freezable.ts';

/** What is put into the source, which events nobody can take, and when instances hang, NATS or a receiver is away. */
export interface DeliveryScenario {
  readonly events: readonly {
    readonly subject: string;
    readonly poison: boolean;
    readonly pauseMs: number;
  }[];
  readonly hangs: readonly { readonly place: number; readonly atMs: number; readonly forMs: number }[];
  readonly outages: readonly { readonly atMs: number; readonly forMs: number }[];
  readonly away: readonly { readonly receiver: string; readonly atMs: number; readonly forMs: number }[];
  /** When a backup is begun, how long it takes, and when everything is lost after that and put back. */
  readonly restore?: { readonly atMs: number; readonly takesMs: number; readonly lostMs: number } | undefined;
}

const SUBJECTS = ['a', 'b', 'c'] as const;
/** Of what happens once all faults are over: who takes nothing but what nobody can take is disabled again and again. */
const LIFE = 'life';
const ORDERED = 'ordered';
const RECEIVERS: Readonly<Record<string, Pick<Receiver, 'ordered' | 'wants'>>> = {
  [ORDERED]: { ordered: true, wants: () => true },
  plain: { ordered: false, wants: () => true },
  some: { ordered: false, wants: ({ subject }) => subject === 'a' || subject === LIFE },
};
const NAMES = Object.keys(RECEIVERS);

export function deliveryScenarioOf(seed: number): DeliveryScenario {
  const prng = createPrng(seed ^ 0x34);
  const times = (most: number, within: number, shortest: number, longest: number) =>
    Array.from({ length: pick(prng, most) }, () => ({
      atMs: pick(prng, within),
      forMs: shortest + pick(prng, longest - shortest),
    }));
  return {
    events: Array.from({ length: 6 + pick(prng, 30) }, () => ({
      subject: SUBJECTS[pick(prng, SUBJECTS.length)] ?? 'a',
      poison: prng() < 0.05,
      pauseMs: prng() < 0.6 ? 0 : pick(prng, 1_000),
    })),
    hangs: times(3, 8_000, 500, 6_000).map((hang) => ({ ...hang, place: pick(prng, 2) })),
    outages: times(2, 8_000, 200, 4_000),
    away: times(3, 8_000, 500, 8_000).map((away) => ({ ...away, receiver: NAMES[pick(prng, 3)] ?? 'some' })),
    restore:
      prng() < 0.5
        ? { atMs: pick(prng, 8_000), takesMs: pick(prng, 1_000), lostMs: pick(prng, 4_000) }
        : undefined,
  };
}

export function* smallerDeliveryScenario(scenario: DeliveryScenario): Generator<DeliveryScenario> {
  for (const part of ['events', 'hangs', 'outages', 'away'] as const) {
    for (const at of scenario[part].keys())
      yield { ...scenario, [part]: scenario[part].filter((_, other) => other !== at) };
  }
  if (scenario.restore !== undefined) yield { ...scenario, restore: undefined };
}

/** As `jetledger backup` does: what must not be ahead comes first; the stream comes last. */
const BACKUP = ['places', 'dead letters'] as const;

const FAULTS: Partial<Faults> = {
  staleRead: 0.1,
  lostAck: 0.02,
  lateLanding: 0.02,
  lostSend: 0.02,
  unavailable: 0.02,
  brokenScan: 0.02,
  delay: 0.03,
  crash: 0.0005,
};
const SETTINGS: DeliverySettings = {
  ...{ maxInFlight: 3, maxOpen: 12, storeMs: 100, stopMs: 500 },
  ...{ retryBaseMs: 50, retryCapMs: 500, pauseCapMs: 200, giveUpMs: 4_000 },
};
const PAGE = 5;
const DEADLINE_MS = 60_000;

/** What the receivers got, who sends to them, and what must not be. */
function createReceiving(
  world: World,
  stores: MemoryBucketStores,
  shelf: Shelf,
  poison: ReadonlySet<string>,
) {
  const accepted = new Map(NAMES.map((name) => [name, new Set<string>()]));
  let givenUp = new Map(NAMES.map((name) => [name, new Set<string>()]));
  const awayUntil = new Map<string, number>();
  const problems = new Set<string>();
  let repaired = false;
  let sent = 0;
  const isThrough = (name: string, id: string): boolean =>
    accepted.get(name)?.has(id) === true || givenUp.get(name)?.has(id) === true;

  const send = async (actor: string, name: string, event: Deliverable): Promise<Tried> => {
    sent++;
    const owner = parseRow<StoredReceiver>(placeIn(stores, name))?.owner ?? '';
    if (!owner.startsWith(`${actor}-`)) problems.add(`${actor} sends to ${name}, which is ${owner}'s`);
    await world.step(`send ${event.id} to ${name}`, actor);
    const overtaken = shelf.all.find(
      ({ position, subject, id }) =>
        position < event.position && subject === event.subject && !isThrough(name, id),
    );
    if (name === ORDERED && overtaken) problems.add(`${event.id} overtakes ${overtaken.id}`);
    const failed = { taken: false, error: 'status 503' };
    const isAway = (awayUntil.get(name) ?? 0) > world.now();
    if (isAway || poison.has(event.id) || (!repaired && world.random() < 0.15)) return failed;
    accepted.get(name)?.add(event.id);
    if (!repaired && world.random() < 0.1) await world.runtime(actor).sleep(3_000 * world.random());
    await world.step(`${name} has ${event.id}`, actor);
    return !repaired && world.random() < 0.05 ? failed : { taken: true };
  };
  const giveUp = ({ receiver, event, firstAt }: GivenUpEvent): void => {
    if (world.now() - firstAt < SETTINGS.giveUpMs) problems.add(`${event.id} is given up too soon`);
    givenUp.get(receiver)?.add(event.id);
  };
  return {
    problems,
    send,
    giveUp,
    sent: () => sent,
    away: (name: string, forMs: number) => awayUntil.set(name, world.now() + forMs),
    repair: () => {
      repaired = true;
    },
    /** Copies what is kept as dead letters. @returns to be called to put that back */
    copyDeadLetters: () => {
      const copy = new Map([...givenUp].map(([name, ids]) => [name, new Set(ids)]));
      return () => {
        givenUp = copy;
      };
    },
    lost: () =>
      NAMES.flatMap((name) =>
        shelf.all
          .filter((event) => RECEIVERS[name]?.wants(event) && !isThrough(name, event.id))
          .map(({ id }) => `${name} lacks ${id}`),
      ),
    /** Whether the places say that all is through. */
    isStored: () =>
      NAMES.every((name) => {
        const place = parseRow<StoredReceiver>(placeIn(stores, name))?.sources[shelf.name];
        return place?.high === shelf.all.length && place.open.length === 0;
      }),
  };
}

export interface DeliveryRun {
  readonly violations: readonly string[];
  readonly trace: readonly string[];
  /** Whether the process that was to be killed came so far. */
  readonly killed: boolean;
}

/**
 * Runs one schedule to its end.
 * @param killAt nothing else goes wrong: the first process is killed when it comes to this one of its calls and answers
 */
export async function runDeliverySchedule(
  seed: number,
  scenario: DeliveryScenario = deliveryScenarioOf(seed),
  plant: DeliveryPlant = {},
  killAt?: number,
): Promise<DeliveryRun> {
  const faults = killAt === undefined ? FAULTS : {};
  const plain = createWorld(seed, { faults, longestDelayMs: 3_000, maxSteps: 400_000 });
  const { world, killed } = killing(plain, 'i0x1', killAt);
  const log = createMemoryStore();
  const stores = createMemoryBucketStores();
  const shelf = createShelf('orders', world.now, PAGE);
  const poison = new Set<string>();
  const receiving = createReceiving(world, stores, shelf, poison);
  const disabled = new Set<string>();
  const renewed = new Map<string, number>();
  const clock = world.runtime('clock');
  const instances: Instance[] = [];
  let outageUntil = 0;
  let started = 0;
  let over = false;

  const startInstance = (place: number): void => {
    const actor = `i${place}x${++started}`;
    const running = world.spawn(actor, async (plain) => {
      const frozen = freezable(world, { ...plain, now: () => Math.floor(plain.now()) });
      const { runtime } = frozen;
      const watchers = new Set<(id: string) => void>();
      const get = (id: string): Receiver => {
        const receiver: Receiver = {
          ...{ id, enabled: !disabled.has(id), createdAt: 0, renewedAt: renewed.get(id) ?? 0, requests: [] },
          ...{ ordered: RECEIVERS[id]?.ordered === true, wants: RECEIVERS[id]?.wants ?? (() => false) },
          deliver: (event) => receiving.send(actor, id, event),
        };
        return plant.receiver?.(receiver) ?? receiver;
      };
      const receivers: Receivers = {
        all: () => NAMES.map(get),
        get,
        watch: (changed) => watchers.add(changed),
      };
      const source = openShelf(shelf, { world, actor, runtime, isAway: () => world.now() < outageUntil });
      const outlet: DeliveryOutlet = {
        giveUp: async (given) => {
          await frail(world, runtime);
          receiving.giveUp(given);
        },
        disable: async (id) => {
          await frail(world, runtime);
          disabled.add(id);
          for (const { tell } of instances) tell(id);
        },
        complete: async () => undefined,
        testEvent: () => {
          throw new Error('nobody asks for a test');
        },
        find: async () => undefined,
        trouble: (what, error) => {
          if (!mayHeal(error) && !(error instanceof OwnershipLost))
            receiving.problems.add(`${what}: ${String(error)}`);
        },
      };
      const buckets = openBuckets(stores, world, actor, (bucket) =>
        frozen.bucket(plant.bucket?.(bucket, stores) ?? bucket),
      );
      const worker = deliveryWorker({
        ...{ name: 'webhooks', buckets, prefix: simulatedSettings.prefix, runtime, receivers },
        ...{ sources: [plant.source?.(source) ?? source], settings: SETTINGS },
        outlet: plant.outlet?.(outlet) ?? outlet,
      });
      const engine = startEngine({
        ...{ log: frozen.log(openMemoryLog(log, { world, actor })), buckets, runtime, consumers: [] },
        workers: [plant.worker?.(worker) ?? worker],
        settings: { ...simulatedSettings, instance: actor },
        onError: (_, error) => receiving.problems.add(`stopped: ${String(error)}`),
      });
      const tell = (id: string): void => {
        for (const changed of watchers) changed(id);
      };
      instances[place] = { ...frozen, actor, engine, tell };
      await new Promise(() => undefined);
    });
    void running.then(() => {
      // Nobody tells the dead.
      delete instances[place];
      if (!over) startInstance(place);
    });
  };
  const enableAll = (): void => {
    for (const id of disabled) {
      disabled.delete(id);
      renewed.set(id, world.now());
      for (const instance of instances) instance?.tell(id);
    }
  };

  const crashAll = (): void => {
    for (const { actor } of instances.filter((instance) => instance !== undefined)) world.crash(actor);
  };
  const backUpAndRestore = async ({ atMs, takesMs, lostMs }: NonNullable<DeliveryScenario['restore']>) => {
    await clock.sleep(atMs);
    const putBack: (() => void)[] = [];
    for (const what of plant.backup ?? BACKUP) {
      putBack.push(what === 'places' ? copyPlaces(stores, NAMES) : receiving.copyDeadLetters());
      await clock.sleep(takesMs);
    }
    const last = shelf.all.length;
    await clock.sleep(lostMs);
    crashAll();
    for (const back of putBack) back();
    const lineage = { incarnation: 'second', former: [{ incarnation: 'first', last }] };
    shelf.putBack(last, plant.lineage?.(lineage) ?? lineage);
  };

  return world.run(async () => {
    for (const place of [0, 1]) startInstance(place);
    await Promise.all([
      ...scenario.hangs.map(async ({ place, atMs, forMs }) => {
        await clock.sleep(atMs);
        instances[place]?.hang(forMs);
      }),
      ...scenario.outages.map(async ({ atMs, forMs }) => {
        await clock.sleep(atMs);
        outageUntil = world.now() + forMs;
        for (const instance of instances) instance?.cutOff(forMs);
      }),
      ...scenario.away.map(async ({ receiver, atMs, forMs }) => {
        await clock.sleep(atMs);
        receiving.away(receiver, forMs);
      }),
      (async () => {
        for (const { subject, pauseMs, poison: isPoison } of scenario.events) {
          await clock.sleep(pauseMs);
          const { id } = shelf.put(subject);
          if (isPoison) poison.add(id);
        }
      })(),
      scenario.restore && backUpAndRestore(scenario.restore),
    ]);
    receiving.repair();
    const start = world.now();
    while (!receiving.isStored() && world.now() - start < DEADLINE_MS) {
      if (disabled.size > 0) shelf.put(LIFE);
      enableAll();
      await clock.sleep(2_000);
    }
    const { problems } = receiving;
    if (!receiving.isStored()) problems.add('the places do not say that all is through');
    const sent = receiving.sent();
    crashAll();
    await clock.sleep(10_000);
    over = true;
    if (receiving.sent() > sent) problems.add('what is through is sent again after a restart');
    return { violations: [...problems, ...receiving.lost()], trace: world.trace(), killed: killed() };
  });
}

/** A world in which an actor crashes when it comes to one of its steps. */
function killing(world: World, victim: string, killAt: number | undefined) {
  let steps = 0;
  const step: World['step'] = (label, actor) => {
    if (actor === victim && ++steps === killAt) world.crash(victim);
    return world.step(label, actor);
  };
  return { world: { ...world, step }, killed: () => killAt !== undefined && steps >= killAt };
}

interface Instance extends Pick<Freezable, 'hang' | 'cutOff'> {
  readonly actor: string;
  readonly engine: Engine;
  /** A receiver has changed. */
  tell(id: string): void;
}

/** A call that may fail. */
async function frail(world: World, runtime: Runtime): Promise<void> {
  await runtime.sleep(world.strikes('delay') ? world.delayMs() : 0);
  if (world.strikes('unavailable')) throw new LogUnavailable('simulated');
}

interface ShelfUser {
  readonly world: World;
  readonly actor: string;
  readonly runtime: Runtime;
  readonly isAway: () => boolean;
}

/** One process's handle on a source, with the faults of a network: it fails, is slow, lags and breaks off. */
function openShelf(shelf: Shelf, { world, actor, runtime, isAway }: ShelfUser): DeliverySource {
  const reach = async (label: string): Promise<void> => {
    await world.step(label, actor);
    await frail(world, runtime);
    if (isAway()) throw new LogUnavailable(`${label}: cut off`);
  };
  return {
    ...shelf,
    lineage: async () => {
      await reach('lineage');
      return shelf.lineage();
    },
    head: async () => {
      await reach('head');
      return shelf.head();
    },
    page: async (after, subject) => {
      await reach(`page after ${after}`);
      const { events, through } = await shelf.page(after, subject);
      if (!world.strikes('staleRead')) return { events, through };
      const seen = events.slice(0, pick(world.random, events.length + 1));
      return { events: seen, through: seen.at(-1)?.position ?? after };
    },
    at: async (position) => {
      await reach(`at ${position}`);
      return shelf.at(position);
    },
    before: async (time) => {
      await reach('before');
      return shelf.before(time);
    },
    follow: async function* (after, signal) {
      for await (const events of shelf.follow(after, signal)) {
        await reach('follow');
        if (world.strikes('brokenScan')) throw new LogUnavailable('broken off');
        yield events;
      }
    },
  };
}
