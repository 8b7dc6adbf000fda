import { createUseCases } from '../../../src/app/create-use-cases.ts';
import { order } from '../../../src/domain/order.ts';
import { user } from '../../../src/domain/user.ts';
import { EventStoreError, LogUnavailable } from '../../../src/eventstore/errors.ts';
import { loadAt } from '../../../src/eventstore/fold.ts';
import { createHandler } from '../../../src/eventstore/handler.ts';
import { createPersonKeys } from '../../../src/eventstore/personal/bucket-keys.ts';
import { createForgetting, type ForgettingOptions } from '../../../src/eventstore/personal/forgetting.ts';
import type { KeyBucket } from '../../../src/eventstore/personal/key-bucket.ts';
import type { PersonKeys } from '../../../src/eventstore/personal/keys.ts';
import { createMasterKeys } from '../../../src/eventstore/personal/master-keys.ts';
import { createPersonalData } from '../../../src/eventstore/personal/personal-data.ts';
import { readStoredKey } from '../../../src/eventstore/personal/stored-key.ts';
import type { Runtime } from '../../../src/eventstore/runtime.ts';
import {
  createMemoryBucketStore,
  type MemoryBucketStore,
  type MemoryKeyStore,
  openMemoryBucket,
  openMemoryKeyBucket,
} from '../../../src/testing/memory-bucket.ts';
import { createMemoryStore, openMemoryLog } from '../../../src/testing/memory-log.ts';
import { createWorld, type World } from '../../../src/testing/world.ts';
import { emailKey } from './email-world.ts';

/** Spoils how keys are had or destroyed; makes the fault that the simulation must find. */
export interface Plant {
  readonly keys?: (keys: PersonKeys, runtime: Runtime) => PersonKeys;
  readonly forgetting?: (options: Required<ForgettingOptions>) => ForgettingOptions;
}

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

/** An order of tea, by a person and named as it. */
export function placing(person: string, at: number) {
  const line = { sku: 'TEA', name: 'Tea', quantity: 1, unitPriceMinor: 1n, currency: 'EUR' };
  const payment = { paymentToken: 't', paymentDueAt: at + 60_000 };
  return { type: 'place', orderId: person, userId: person, lines: [line], ...payment, at } as const;
}

/** Runs one schedule; returns what must not be, as sentences. */
export async function runPersonalSchedule(seed: number, plant: Plant = {}): Promise<string[]> {
  const world = createWorld(seed, { faults: FAULTS, longestDelayMs: 3_000 });
  const log = createMemoryStore();
  const { stored, numbers } = keyStore();
  const ledgerStore = createMemoryBucketStore('forgotten');
  const outage = { until: 0 };
  const found: string[] = [];
  /** From when on a person is forgotten everywhere, by the clock of the world. */
  const gone = new Map<string, number>();

  function processOf(actor: string) {
    const plain = world.runtime(actor);
    const runtime: Runtime = { ...plain, now: () => Math.floor(plain.now()) };
    const bucket = awayAtTimes(openMemoryKeyBucket(stored, { world, actor }), world, outage);
    const ledger = openMemoryBucket(ledgerStore, { world, actor });
    const destroying = { ledger, keys: bucket, runtime };
    const honest = createPersonKeys({ bucket, masters: createMasterKeys(SECRET), runtime });
    const personal = createPersonalData({
      keys: plant.keys?.(honest, runtime) ?? honest,
      encrypt: true,
      runtime,
    });
    const own = openMemoryLog(log, { world, actor });
    const handler = createHandler({ log: own, runtime, personal });
    const settings = { staleClaimMs: 1_500, priceMaxAgeMs: 0 };
    return {
      runtime,
      personal,
      handler,
      log: own,
      forgetting: createForgetting(plant.forgetting?.(destroying) ?? destroying),
      useCases: createUseCases({ handler, log: own, runtime, emailKey, personal, settings }),
    };
  }
  type Process = ReturnType<typeof processOf>;

  /** Tries on one process after the other; one that crashed never answers. */
  async function insist(
    name: string,
    work: (process: Process) => Promise<unknown>,
    most = MAX_TRIES,
  ): Promise<void> {
    for (let tries = 0; tries < most; tries++) {
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
      await p.handler.execute(order, person, placing(person, at), meta('place'));
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
      const since = gone.get(person);
      if (opened === 'forgotten' && ledgerStore.last(person) === undefined)
        found.push(`${person} is shown as forgotten`);
      if (opened !== 'forgotten' && since !== undefined && world.now() > since)
        found.push(`${person} is shown ${world.now() - since} ms after it was forgotten`);
    }
  }

  async function disturb(): Promise<void> {
    const clock = world.runtime('chance');
    for (let round = 0; round < 4; round++) {
      await clock.sleep(world.random() * 6_000);
      outage.until = world.now() + world.random() * LONGEST_OUTAGE_MS;
    }
  }

  async function forget(): Promise<void> {
    await world.runtime('chance').sleep(world.random() * 20_000);
    if (world.random() < 0.3) return;
    const twice = Array.from({ length: world.random() < 0.3 ? 2 : 1 }, (_, n) =>
      insist(`p0.forget${n}`, async (p) => {
        await p.forgetting.forget('p0');
        gone.set('p0', Math.min(world.now(), gone.get('p0') ?? Number.POSITIVE_INFINITY));
      }),
    );
    await Promise.all(twice);
  }

  return world.run(async () => {
    const persons = Array.from({ length: PERSONS }, (_, i) => `p${i}`);
    await Promise.all([...persons.map(live), look(1), look(2), disturb(), forget()]);
    await insist('next', (p) => p.forgetting.finish(), Number.POSITIVE_INFINITY);
    return [...found, ...plainIn(log), ...unkeyed(log, numbers), ...remains(stored, ledgerStore)];
  });
}

/** Where the keys are kept, and which numbers of whose keys were ever stored there. */
function keyStore(): { stored: MemoryKeyStore; numbers: ReadonlyMap<string, ReadonlySet<number>> } {
  const store = createMemoryBucketStore('keys');
  const numbers = new Map<string, Set<number>>();
  const put: MemoryKeyStore['put'] = (rows) => {
    const revision = store.put(rows);
    for (const { key, value } of revision === undefined ? [] : rows) {
      const kept = readStoredKey(value ?? new Uint8Array());
      if (kept !== undefined && 'number' in kept)
        numbers.set(key, (numbers.get(key) ?? new Set()).add(kept.number));
    }
    return revision;
  };
  return { stored: { ...store, put }, numbers };
}

/** What is left of a person in the ledger, and who is treated as forgotten and is not in it. */
function remains(keys: MemoryBucketStore, ledger: MemoryBucketStore): string[] {
  const persons = new Set(keys.writes.map(({ key }) => key));
  return [...persons].flatMap((person) => {
    const last = readStoredKey(keys.last(person)?.value ?? new Uint8Array());
    const isForgotten = last !== undefined && 'forgotten' in last;
    if (ledger.last(person) === undefined)
      return isForgotten ? [`${person} is forgotten and has no entry in the ledger`] : [];
    const bytes = keys.writes.some(({ key, value }) => key === person && holdsKey(value));
    return [
      ...(isForgotten ? [] : [`${person} is in the ledger and still has a key`]),
      ...(isForgotten && bytes ? [`bytes of the key of ${person} are left`] : []),
    ];
  });
}

function holdsKey(value: Uint8Array): boolean {
  const kept = readStoredKey(value);
  return kept !== undefined && 'number' in kept;
}

/** The bucket cannot be reached for a while now and then, by anybody. */
export function awayAtTimes(bucket: KeyBucket, world: World, outage: { readonly until: number }): KeyBucket {
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
    eraseBefore: async (...given) => {
      reach();
      return bucket.eraseBefore(...given);
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
function unkeyed(log: Log, numbers: ReadonlyMap<string, ReadonlySet<number>>): string[] {
  return [...eventsOf(log)].flatMap(({ id, event: { type, sealed } }) =>
    sealed.flatMap(({ person, key }) =>
      numbers.get(person || id)?.has(key) ? [] : [`${type} of ${id} is sealed with a key that nobody has`],
    ),
  );
}
