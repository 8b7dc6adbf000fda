import { createUseCases } from '../../../src/app/create-use-cases.ts';
import { order } from '../../../src/domain/order.ts';
import { user } from '../../../src/domain/user.ts';
import type { Bucket } from '../../../src/eventstore/bucket.ts';
import { EventStoreError, LogUnavailable } from '../../../src/eventstore/errors.ts';
import { loadAt } from '../../../src/eventstore/fold.ts';
import { createHandler } from '../../../src/eventstore/handler.ts';
import { createPersonKeys } from '../../../src/eventstore/personal/bucket-keys.ts';
import type { PersonKeys } from '../../../src/eventstore/personal/keys.ts';
import { createMasterKeys } from '../../../src/eventstore/personal/master-keys.ts';
import { createPersonalData } from '../../../src/eventstore/personal/personal-data.ts';
import type { Runtime } from '../../../src/eventstore/runtime.ts';
import {
  createMemoryBucketStore,
  type MemoryBucketStore,
  openMemoryBucket,
} from '../../../src/testing/memory-bucket.ts';
import { createMemoryStore, openMemoryLog } from '../../../src/testing/memory-log.ts';
import { createWorld, type World } from '../../../src/testing/world.ts';
import { emailKey } from './email-world.ts';

/** Spoils how keys are had; makes the fault that the simulation must find. */
export type Plant = (keys: PersonKeys, runtime: Runtime) => PersonKeys;

const FAULTS = {
  lostAck: 0.05,
  lateLanding: 0.03,
  lostSend: 0.03,
  unavailable: 0.05,
  delay: 0.05,
  crash: 0.01,
};
const PROCESSES = 3;
const PERSONS = 3;
const MAX_TRIES = 8;
const LONGEST_OUTAGE_MS = 8_000;
const SECRET = new Uint8Array(32).fill(5);

/** What a person calls itself, and so what must never be stored in plain. */
const nameOf = (person: string, step: number): string => `Name of ${person} ${step}`;
const addressOf = (person: string, step: number): string => `${person}.${step}@example.com`;

/** Runs one schedule; returns what must not be, as sentences. */
export async function runPersonalSchedule(seed: number, plant: Plant = (keys) => keys): Promise<string[]> {
  const world = createWorld(seed, { faults: FAULTS, longestDelayMs: 3_000 });
  const log = createMemoryStore();
  const stored = createMemoryBucketStore('keys');
  const outage = { until: 0 };
  const found: string[] = [];
  /** When each person was forgotten, by the clock of the world. */
  const forgotten = new Map<string, number>();

  function processOf(actor: string) {
    const plain = world.runtime(actor);
    const runtime: Runtime = { ...plain, now: () => Math.floor(plain.now()) };
    const bucket = awayAtTimes(openMemoryBucket(stored, { world, actor }), world, outage);
    const honest = createPersonKeys({ bucket, masters: createMasterKeys(SECRET), runtime });
    const personal = createPersonalData({ keys: plant(honest, runtime), encrypt: true, runtime });
    const own = openMemoryLog(log, { world, actor });
    const handler = createHandler({ log: own, runtime, personal });
    const settings = { staleClaimMs: 1_500, priceMaxAgeMs: 0 };
    return {
      runtime,
      personal,
      handler,
      log: own,
      useCases: createUseCases({ handler, runtime, emailKey, personal, settings }),
    };
  }
  type Process = ReturnType<typeof processOf>;

  /** Tries on one process after the other; one that crashed never answers. */
  async function insist(name: string, work: (process: Process) => Promise<unknown>): Promise<void> {
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const actor = `${name}.${tries}.${Math.floor(world.random() * PROCESSES)}`;
      const done = world.spawn(actor, async () => {
        try {
          await work(processOf(actor));
          return true;
        } catch (error) {
          if (!(error instanceof EventStoreError)) throw error;
          if (!error.retryable && error.code !== 'person/forgotten') found.push(`${name}: ${error}`);
          return error.code === 'person/forgotten';
        }
      });
      const fate = await done;
      if (!fate.crashed && fate.value) return;
      await world.runtime('client').sleep(world.random() * 3_000);
    }
  }

  async function live(person: string): Promise<void> {
    const meta = (what: string) => ({ commandId: `${person}.${what}`, actor: person });
    const registration = { userId: person, email: addressOf(person, 0), name: nameOf(person, 0) };
    await insist(`${person}.register`, (p) => p.useCases.register(registration, meta('register')));
    await insist(`${person}.order`, async (p) => {
      const at = p.runtime.now();
      const line = { sku: 'TEA', name: 'Tea', quantity: 1, unitPriceMinor: 1n, currency: 'EUR' };
      const payment = { paymentToken: 't', paymentDueAt: at + 60_000 };
      const place = {
        type: 'place',
        orderId: person,
        userId: person,
        lines: [line],
        ...payment,
        at,
      } as const;
      await p.handler.execute(order, person, place, meta('place'));
      const cancel = { type: 'cancel', reason: nameOf(person, 1), by: 'customer', at } as const;
      await p.handler.execute(order, person, cancel, meta('cancel'));
    });
    const email = addressOf(person, 1);
    await insist(`${person}.change`, (p) => p.useCases.changeEmail(person, email, meta('change')));
    await insist(`${person}.rename`, (p) => {
      const command = { type: 'rename', name: nameOf(person, 2), at: p.runtime.now() } as const;
      return p.handler.execute(user, person, command, meta('rename'));
    });
  }

  /** Opens what is stored, again and again: what it shows is a person's own, or the person is forgotten. */
  async function look(index: number): Promise<void> {
    const reader = processOf(`reader${index}`);
    for (let round = 0; round < 12; round++) {
      await reader.runtime.sleep(world.random() * 3_000);
      const person = `p${Math.floor(world.random() * PERSONS)}`;
      const { state } = await loadAt(reader.log, user, person, {}).catch(() => ({ state: user.initial }));
      if (!('name' in state)) continue;
      const opened = await reader.personal.open(state.name).catch((error: unknown) => {
        if (!(error instanceof EventStoreError) || !error.retryable)
          found.push(`opening ${person}: ${error}`);
        return undefined;
      });
      if (opened === undefined) continue;
      const gone = forgotten.get(person);
      if (opened === 'forgotten' && gone === undefined) found.push(`${person} is shown as forgotten`);
      // A read that was under way when it was forgotten may still come back, within the lease.
      if (opened !== 'forgotten' && gone !== undefined && world.now() > gone + LEASE_MS + 1)
        found.push(`${person} is shown ${world.now() - gone} ms after it was forgotten`);
    }
  }

  async function disturb(): Promise<void> {
    const clock = world.runtime('chance');
    for (let round = 0; round < 4; round++) {
      await clock.sleep(world.random() * 6_000);
      outage.until = world.now() + world.random() * LONGEST_OUTAGE_MS;
    }
    if (world.random() < 0.5) return;
    const row = stored.last('p0');
    if (row === undefined) return;
    const value = new TextEncoder().encode(JSON.stringify({ forgotten: world.now() }));
    stored.put([{ key: 'p0', value, expectedRevision: row.revision }]);
    forgotten.set('p0', world.now());
  }

  return world.run(async () => {
    const persons = Array.from({ length: PERSONS }, (_, i) => `p${i}`);
    await Promise.all([...persons.map(live), look(1), look(2), disturb()]);
    return [...found, ...plainIn(log), ...unkeyed(log, stored)];
  });
}

const LEASE_MS = 2_000;

/** The bucket cannot be reached for a while now and then, by anybody. */
function awayAtTimes(bucket: Bucket, world: World, outage: { readonly until: number }): Bucket {
  const reach = (): void => {
    if (world.now() < outage.until) throw new LogUnavailable('the keys are away');
  };
  return {
    ...bucket,
    get: async (...given) => {
      reach();
      return bucket.get(...given);
    },
    write: async (row) => {
      reach();
      return bucket.write(row);
    },
  };
}

type Log = ReturnType<typeof createMemoryStore>;

function* eventsOf(log: Log) {
  for (let position = 1; position <= log.head(); position++) {
    const commit = log.at(position);
    for (const { events } of commit?.decisions ?? [])
      for (const event of events) yield { id: commit?.stream.id ?? '', event };
  }
}

/** Names and addresses that stand in the log. */
function plainIn(log: Log): string[] {
  return [...eventsOf(log)].flatMap(({ id, event: { type, data } }) =>
    /Name of|@example/.test(Buffer.from(data).toString('latin1')) ? [`${type} of ${id} is in plain`] : [],
  );
}

/** Sealed texts whose key was never acknowledged: nobody can ever open them. */
function unkeyed(log: Log, keys: MemoryBucketStore): string[] {
  const numbers = new Map<string, Set<number>>();
  for (const { key, value } of keys.writes) {
    const { number } = JSON.parse(Buffer.from(value).toString('utf8')) as { number?: number };
    numbers.set(key, new Set([...(numbers.get(key) ?? []), ...(number === undefined ? [] : [number])]));
  }
  return [...eventsOf(log)].flatMap(({ id, event: { type, sealed } }) =>
    sealed.flatMap(({ person, key }) =>
      numbers.get(person || id)?.has(key) ? [] : [`${type} of ${id} is sealed with a key that nobody has`],
    ),
  );
}
