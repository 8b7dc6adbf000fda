import { randomBytes, randomInt } from 'node:crypto';
import type { Bucket, Row } from '../bucket.ts';
import { createBoundedCache } from '../cache/bounded-cache.ts';
import { type Runtime, systemRuntime } from '../runtime.ts';
import { type KeyBucket, replaceKey } from './key-bucket.ts';
import {
  type KeyState,
  KeysUnavailable,
  KeyUnreadable,
  LONGEST_LEASE_MS,
  type PersonKey,
  type PersonKeys,
} from './keys.ts';
import type { MasterKeys } from './master-keys.ts';
import { personOfToken, readStoredKey, type StoredKey, tokenOf, writeStoredKey } from './stored-key.ts';

/** Where keys are kept, and how long a process may go on with what it was told. */
export interface PersonKeysOptions {
  /** Of its own; loses nothing, or what is sealed can never be opened again. */
  readonly bucket: Bucket;
  readonly masters: MasterKeys;
  /** Default: the real clock. */
  readonly runtime?: Pick<Runtime, 'now'>;
  /** How long a key may be used after it was asked for, in milliseconds; at most 2,000, which is the default. */
  readonly leaseMs?: number;
  /** How many are kept in memory at the most. */
  readonly cacheEntries?: number;
}

const CACHE_ENTRIES = 10_000;
const KEY_BYTES = 32;
const HIGHEST_NUMBER = 2 ** 31;

/** Keys of persons in a bucket, wrapped (protocol 30). @throws RangeError for a lease above 2 s */
export function createPersonKeys(options: PersonKeysOptions): PersonKeys {
  const { bucket, masters, runtime = systemRuntime, leaseMs = LONGEST_LEASE_MS } = options;
  if (!(leaseMs > 0 && leaseMs <= LONGEST_LEASE_MS))
    throw new RangeError(
      `leaseMs is ${leaseMs}: give more than 0 and at most ${LONGEST_LEASE_MS} milliseconds.`,
    );
  const cache = createBoundedCache<PersonKey>(options.cacheEntries ?? CACHE_ENTRIES);
  const asking = new Map<string, Promise<KeyState>>();

  function atHand(person: string): PersonKey | undefined {
    const cached = cache.get(person);
    return cached !== undefined && runtime.now() < cached.until ? cached : undefined;
  }

  async function stateOf(person: string, how: 'read' | 'make'): Promise<KeyState> {
    const known = atHand(person);
    if (known !== undefined) return known;
    const name = `${how} ${person}`;
    let asked = asking.get(name);
    if (asked === undefined) {
      asked = (how === 'make' ? make(person) : read(person)).finally(() => asking.delete(name));
      asking.set(name, asked);
    }
    return asked;
  }

  /** A person is new as a rule, so the key is written first; whoever has one keeps it. */
  async function make(person: string): Promise<KeyState> {
    const askedAt = runtime.now();
    const key = new Uint8Array(randomBytes(KEY_BYTES));
    const number = randomInt(1, HIGHEST_NUMBER);
    const stored = { number, master: masters.current, wrapped: await masters.wrap(person, key) };
    const row = { key: tokenOf(person), value: writeStoredKey(stored), expectedRevision: 0 };
    const { written } = await reaching(`making that of ${person}`, bucket.write(row));
    return written ? keep(person, { number, key, until: askedAt + leaseMs }) : existing(person);
  }

  async function existing(person: string): Promise<KeyState> {
    const state = await read(person);
    // A server that refuses a first key and knows of none has not caught up.
    if (state === 'none') throw new KeysUnavailable(`that of ${person} exists and does not show yet`);
    return state;
  }

  async function read(person: string): Promise<KeyState> {
    const askedAt = runtime.now();
    const row = await reaching(`reading that of ${person}`, bucket.get(tokenOf(person), { leader: true }));
    if (row === undefined) return 'none';
    const stored = storedIn(row);
    if ('forgotten' in stored) return 'forgotten';
    const key = await masters.unwrap(stored.master, person, stored.wrapped);
    return keep(person, { number: stored.number, key, until: askedAt + leaseMs });
  }

  function keep(person: string, key: PersonKey): PersonKey {
    cache.set(person, key);
    return key;
  }

  return {
    atHand,
    keysOf: async (persons, how) => {
      const states = await Promise.all(persons.map(async (p) => [p, await stateOf(p, how)] as const));
      return new Map(states);
    },
  };
}

/** @throws KeyUnreadable: only a tombstone says that somebody was forgotten, not a row that is gone or damaged */
function storedIn({ key, value }: Row): StoredKey {
  const stored = readStoredKey(value);
  if (stored === undefined) throw new KeyUnreadable(`what is kept of ${personOfToken(key)} is no key`);
  return stored;
}

async function reaching<T>(what: string, answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (cause) {
    throw new KeysUnavailable(what, cause);
  }
}

/** The keys that are kept, by what they are wrapped with. */
export interface KeptKeys {
  /** How many, by the names of master keys. */
  readonly byMaster: Readonly<Record<string, number>>;
  /** Of how many persons the key was destroyed. */
  readonly forgotten: number;
}

/** Counts the keys of a bucket; reads all of them. @throws KeysUnavailable for a row that is no key; LogUnavailable */
export async function countKeys({ bucket }: Pick<PersonKeysOptions, 'bucket'>): Promise<KeptKeys> {
  const byMaster: Record<string, number> = {};
  let forgotten = 0;
  for await (const row of bucket.rows()) {
    const stored = storedIn(row);
    if ('forgotten' in stored) forgotten++;
    else byMaster[stored.master] = (byMaster[stored.master] ?? 0) + 1;
  }
  return { byMaster, forgotten };
}

/** What became of a change of the master key. */
export interface Rewrapped {
  /** Keys that are wrapped with the current master key since. */
  readonly rewrapped: number;
  /** Keys that were so before. */
  readonly kept: number;
  /** Keys that somebody else changed meanwhile: call it again. */
  readonly changed: number;
}

/**
 * Wraps every key anew that is wrapped with a former master key, so that this one may be thrown away, and overwrites what
 * was stored before. Nothing in the log changes. May be repeated, and run beside everything else.
 * @throws KeysUnavailable for a key that no given master key opens; LogUnavailable
 */
export async function rewrapKeys({
  bucket,
  masters,
  lostMasters = [],
}: {
  readonly bucket: KeyBucket;
  readonly masters: MasterKeys;
  /** Names of master keys that are gone for good: keys that are wrapped with them stay as they are. */
  readonly lostMasters?: readonly string[];
}): Promise<Rewrapped> {
  const counts = { rewrapped: 0, kept: 0, changed: 0 };
  for await (const row of bucket.rows()) {
    const stored = storedIn(row);
    if ('forgotten' in stored || lostMasters.includes(stored.master)) continue;
    if (stored.master === masters.current) {
      counts.kept++;
      continue;
    }
    const person = personOfToken(row.key);
    const key = await masters.unwrap(stored.master, person, stored.wrapped);
    const wrapped = await masters.wrap(person, key);
    const value = writeStoredKey({ number: stored.number, master: masters.current, wrapped });
    const { written } = await replaceKey(bucket, row, value);
    counts[written ? 'rewrapped' : 'changed']++;
  }
  return counts;
}
