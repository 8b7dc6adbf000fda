import { order } from '../../../src/domain/order.ts';
import { user } from '../../../src/domain/user.ts';
import { EventStoreError } from '../../../src/eventstore/errors.ts';
import { loadAt } from '../../../src/eventstore/fold.ts';
import { createHandler } from '../../../src/eventstore/handler.ts';
import { createPersonKeys } from '../../../src/eventstore/personal/bucket-keys.ts';
import type { PersonKeys } from '../../../src/eventstore/personal/keys.ts';
import { createMasterKeys } from '../../../src/eventstore/personal/master-keys.ts';
import { createPersonalData, type PersonalData } from '../../../src/eventstore/personal/personal-data.ts';
import { positionOf } from '../../../src/eventstore/position.ts';
import type { Runtime } from '../../../src/eventstore/runtime.ts';
import type { Buckets } from '../../../src/projections/engine/aliases.ts';
import { parseRow, rebuild } from '../../../src/projections/engine/index.ts';
import { startProjections } from '../../../src/projections/engine/start.ts';
import { createViewReader } from '../../../src/projections/engine/view-reader.ts';
import { type UserRow, users } from '../../../src/projections/views/users.ts';
import {
  createMemoryBucketStore,
  createMemoryBucketStores,
  type MemoryKeyStore,
  openMemoryBucket,
  openMemoryBuckets,
  openMemoryKeyBucket,
} from '../../../src/testing/memory-bucket.ts';
import { createMemoryIndexes } from '../../../src/testing/memory-indexes.ts';
import { createMemoryStore, openMemoryLog } from '../../../src/testing/memory-log.ts';
import { createWorld } from '../../../src/testing/world.ts';
import { awayAtTimes, placing } from './personal-world.ts';

/** Makes the fault that the simulation must find. */
export interface ViewsPlant {
  readonly keys?: (keys: PersonKeys) => PersonKeys;
  /** Where views write, with what opens texts. */
  readonly buckets?: (buckets: Buckets, personal: PersonalData) => Buckets;
}

/** Rows are opened before they are stored, and what cannot be opened is stored as if the person had been forgotten. */
export const opening = (buckets: Buckets, personal: PersonalData): Buckets => {
  const opened = async (value: Uint8Array): Promise<Uint8Array> =>
    personal.openJson(value).catch(() => Buffer.from(JSON.stringify({ name: 'forgotten' })));
  return {
    ...buckets,
    open: async (name) => {
      const bucket = await buckets.open(name);
      return (
        bucket && {
          ...bucket,
          writeAll: undefined,
          write: async (row) =>
            bucket.write(row.value === undefined ? row : { ...row, value: await opened(row.value) }),
        }
      );
    },
  };
};

const FAULTS = { lostAck: 0.03, lostSend: 0.02, unavailable: 0.03, delay: 0.03 };
const PERSONS = ['p0', 'p1', 'p2'];
const RENAMES = 3;
const MOST_TRIES = 200;
const LONGEST_OUTAGE_MS = 6_000;
const SETTINGS = { groups: 1 as const, checkpointMs: 200, resolveMs: 200, graceMs: 0, restMs: 0 };

const nameOf = (person: string, step: number): string => `Name of ${person} ${step}`;

/** Persons, a view of them that dies and is taken over and rebuilt, and keys that come and go. @returns what must not be */
export async function runPersonalViews(seed: number, plant: ViewsPlant = {}): Promise<string[]> {
  const world = createWorld(seed, { faults: FAULTS, longestDelayMs: 2_000, maxSteps: 1_000_000 });
  const log = createMemoryStore();
  const stores = createMemoryBucketStores();
  const keys = rollingKeys();
  const outage = { until: 0 };
  const found: string[] = [];
  let isOver = false;

  function processOf(actor: string) {
    const plain = world.runtime(actor);
    const runtime: Runtime = { ...plain, now: () => Math.floor(plain.now()) };
    const bucket = awayAtTimes(openMemoryKeyBucket(keys.store, { world, actor }), world, outage);
    const honest = createPersonKeys({
      bucket,
      masters: createMasterKeys(new Uint8Array(32).fill(5)),
      runtime,
    });
    const personal = createPersonalData({ keys: plant.keys?.(honest) ?? honest, encrypt: true, runtime });
    const own = openMemoryLog(log, { world, actor });
    const opened = openMemoryBuckets(stores, (store) => openMemoryBucket(store, { world, actor }));
    const buckets = plant.buckets?.(opened, personal) ?? opened;
    return { runtime, personal, log: own, buckets, handler: createHandler({ log: own, runtime, personal }) };
  }

  async function insist<T>(
    name: string,
    work: (p: ReturnType<typeof processOf>) => Promise<T>,
  ): Promise<void> {
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const process = processOf(`${name}.${tries}`);
      try {
        await work(process);
        return;
      } catch (error) {
        if (error instanceof EventStoreError && !error.retryable) found.push(`${name}: ${error}`);
      }
      await process.runtime.sleep(500);
    }
    // Keys that were rolled back do not come again.
    if (!keys.wasRolledBack()) found.push(`${name} does not end`);
  }

  async function live(person: string): Promise<void> {
    for (let step = 0; step <= RENAMES; step++) {
      await insist(`${person}.${step}`, ({ handler, runtime }) => {
        const [name, at] = [nameOf(person, step), runtime.now()];
        const born = { userId: person, email: `${person}@example.com`, emailAttempt: 'a' };
        const command =
          step === 0
            ? ({ type: 'register', ...born, name, at } as const)
            : ({ type: 'rename', name, at } as const);
        return handler.execute(user, person, command, { commandId: `${person}.${step}`, actor: person });
      });
      await world.runtime(person).sleep(world.random() * 3_000);
    }
    // Nothing is sealed in an order that has no reason yet: who has lost the key gets another one for it.
    await insist(`order of ${person}`, async ({ handler, runtime }) => {
      const meta = (what: string) => ({ commandId: `${person}.${what}`, actor: person });
      await handler.execute(order, person, placing(person, runtime.now()), meta('place'));
      const cancel = {
        type: 'cancel',
        reason: nameOf(person, 0),
        by: 'customer',
        at: runtime.now(),
      } as const;
      await handler.execute(order, person, cancel, meta('cancel'));
    });
  }

  /** One process after the other keeps the view; each is killed where it stands. */
  async function keepView(): Promise<void> {
    for (let n = 0; !isOver; n++) {
      const actor = `view.${n}`;
      void world.spawn(actor, async () => {
        startProjections({ ...processOf(actor), projections: [users], settings: SETTINGS });
        return new Promise<never>(() => undefined);
      });
      await world.runtime('killer').sleep(1_000 + world.random() * 6_000);
      world.crash(actor);
    }
  }

  async function disturb(): Promise<void> {
    const clock = world.runtime('chance');
    for (let round = 0; round < 3; round++) {
      await clock.sleep(world.random() * 5_000);
      outage.until = world.now() + world.random() * LONGEST_OUTAGE_MS;
      if (round === 1 && world.random() < 0.5) keys.rollBack();
    }
  }

  /** What lists show of a person is one of its names, or said to be unreadable. */
  async function shown(
    process: ReturnType<typeof processOf>,
    person: string,
    json: Uint8Array,
  ): Promise<void> {
    try {
      const { name, unreadable = false } = parseRow(await process.personal.openListed(json)) as UserRow & {
        readonly unreadable?: boolean;
      };
      const isOwn = name.startsWith(`Name of ${person} `);
      if (unreadable ? name !== '' : !isOwn) found.push(`${person} is shown as ${JSON.stringify(name)}`);
    } catch (error) {
      if (!(error instanceof EventStoreError && error.retryable)) found.push(`showing ${person}: ${error}`);
    }
  }

  /** Once all is written, the row is what the log says, as it says it: sealed. */
  const compare = (person: string): Promise<void> =>
    insist(`row of ${person}`, async (process) => {
      const { state } = await loadAt(process.log, user, person, {});
      if (!('name' in state)) return;
      const reader = createViewReader({
        ...process,
        views: [users],
        indexStore: createMemoryIndexes(),
        settings: SETTINGS,
      });
      const row = await reader.row(users, person, { minPosition: positionOf(log.head()) });
      await reader.stop();
      const { name, email } =
        row === undefined ? { name: 'nothing', email: '' } : (parseRow(row.json) as UserRow);
      if (name !== state.name || email !== state.email)
        found.push(`the row of ${person} is not what the log says`);
      if (row !== undefined) await shown(process, person, row.json);
    });

  return world.run(async () => {
    const view = keepView();
    const again = async (): Promise<void> => {
      await world.runtime('chance').sleep(world.random() * 8_000);
      await insist('rebuild', (p) => rebuild({ ...p, projection: users, settings: SETTINGS }));
    };
    await Promise.all([...PERSONS.map(live), disturb(), again()]);
    await Promise.all(PERSONS.map(compare));
    isOver = true;
    await view;
    return [...new Set(found)];
  });
}

/** Where the keys are kept; at any time they may be as they were before the last of them came. */
function rollingKeys() {
  let current: MemoryKeyStore = createMemoryBucketStore('keys');
  let rolledBack = false;
  const store: MemoryKeyStore = {
    name: 'keys',
    grown: current.grown,
    get writes() {
      return current.writes;
    },
    last: (key) => current.last(key),
    put: (rows) => current.put(rows),
    erase: (key, below) => current.erase(key, below),
  };
  const rollBack = (): void => {
    const { writes } = current;
    current = createMemoryBucketStore('keys');
    for (const row of writes.slice(0, -1))
      current.put([{ ...row, expectedRevision: current.last(row.key)?.revision ?? 0 }]);
    rolledBack = writes.length > 0;
  };
  return { store, rollBack, wasRolledBack: () => rolledBack };
}
