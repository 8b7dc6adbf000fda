import type { Bucket } from '../bucket.ts';
import { type Runtime, systemRuntime } from '../runtime.ts';
import { type KeyBucket, replaceKey } from './key-bucket.ts';
import { KeysUnavailable, LONGEST_LEASE_MS } from './keys.ts';
import { personOfToken, readStoredKey, tokenOf, writeStoredKey } from './stored-key.ts';

/** Somebody who was forgotten, as the ledger has it. */
export interface ForgottenPerson {
  readonly person: string;
  /** When, in milliseconds since the Unix epoch. */
  readonly at: number;
}

/** Destroys keys of persons for good (protocol 36). */
export interface Forgetting {
  /**
   * Forgets a person: once this resolves, no process can open what is sealed with its key, and no key is made for it
   * again. May be repeated, and run by several at once.
   * @throws KeysUnavailable, LogUnavailable, OutcomeUnknown: once the ledger has it, whoever starts next ends it
   */
  forget(person: string): Promise<void>;
  /**
   * Destroys every key that is still there of somebody in the ledger: what a crash has left, and what came back from a
   * backup. @returns how many @throws as `forget`
   */
  finish(): Promise<number>;
  /** Enters who was forgotten elsewhere, as from a copy of the ledger; `finish` then destroys the keys. @throws as `forget` */
  enter(forgotten: ForgottenPerson): Promise<void>;
  /**
   * Persons whose key was destroyed and who are not in the ledger, from all keys: it was lost, or is older than they are.
   * @throws LogUnavailable
   */
  missing(): Promise<readonly string[]>;
  /** Whether a person is in the ledger. @throws LogUnavailable */
  has(person: string): Promise<boolean>;
  /** Everybody in the ledger. @throws LogUnavailable */
  all(): AsyncIterable<ForgottenPerson>;
}

/** Where keys of persons are destroyed. */
export interface ForgettingOptions {
  /** Of its own, which keeps the first value of each key; backed up apart from the log and from the keys. */
  readonly ledger: Bucket;
  readonly keys: KeyBucket;
  /** Default: the real clock. */
  readonly runtime?: Pick<Runtime, 'now' | 'sleep'>;
}

/** Others that may be at the same key at once. */
const MOST_TRIES = 20;
const AT_ONCE = 500;

/** @see Forgetting */
export function createForgetting({ ledger, keys, runtime = systemRuntime }: ForgettingOptions): Forgetting {
  /** When the person was forgotten; the first time counts. */
  async function recorded(person: string, at: number): Promise<number> {
    const row = { key: tokenOf(person), value: writeStoredKey({ forgotten: at }), expectedRevision: 0 };
    const { written } = await ledger.write(row);
    if (written) return at;
    const first = await ledger.get(row.key, { leader: true });
    if (first === undefined) throw new KeysUnavailable(`that ${person} was forgotten does not show yet`);
    return entryOf(first.key, first.value).at;
  }

  /** The tombstone first, so that no key can be made in between; then the bytes; then the tombstone says so. */
  async function destroy({ person, at }: ForgottenPerson): Promise<void> {
    const key = tokenOf(person);
    for (let tries = 0; tries < MOST_TRIES; tries++) {
      const row = await keys.get(key, { leader: true });
      const stored = row && readStoredKey(row.value);
      const isForgotten = stored !== undefined && 'forgotten' in stored;
      if (isForgotten && stored.erasing === undefined) return;
      const next = isForgotten ? { forgotten: at } : ({ forgotten: at, erasing: true } as const);
      await replaceKey(keys, row ?? { key, revision: 0 }, writeStoredKey(next));
    }
    throw new KeysUnavailable(`somebody else keeps changing that of ${person}`);
  }

  async function finishAll(persons: readonly ForgottenPerson[]): Promise<number> {
    // From any replica: one that lags shows a key that is gone already, which costs a look.
    const rows = await keys.getAll(persons.map(({ person }) => tokenOf(person)));
    const done = new Set(rows.filter(({ value }) => isDone(value)).map(({ key }) => key));
    const left = persons.filter(({ person }) => !done.has(tokenOf(person)));
    for (const one of left) await destroy(one);
    return left.length;
  }

  async function* all(): AsyncGenerator<ForgottenPerson> {
    for await (const { key, value } of ledger.rows()) yield entryOf(key, value);
  }

  return {
    forget: async (person) => {
      await destroy({ person, at: await recorded(person, runtime.now()) });
      // Until then others may go on with what they were told.
      await runtime.sleep(LONGEST_LEASE_MS);
    },
    finish: async () => {
      let finished = 0;
      let some: ForgottenPerson[] = [];
      for await (const one of all()) {
        some.push(one);
        if (some.length < AT_ONCE) continue;
        finished += await finishAll(some);
        some = [];
      }
      return finished + (await finishAll(some));
    },
    enter: async ({ person, at }) => {
      await recorded(person, at);
    },
    missing: async () => {
      const named = new Set<string>();
      for await (const { person } of all()) named.add(person);
      const found: string[] = [];
      for await (const { key, value } of keys.rows()) {
        const person = personOfToken(key);
        if (isTombstone(value) && !named.has(person)) found.push(person);
      }
      return found;
    },
    has: async (person) => (await ledger.get(tokenOf(person), { leader: true })) !== undefined,
    all,
  };
}

function isTombstone(value: Uint8Array): boolean {
  const stored = readStoredKey(value);
  return stored !== undefined && 'forgotten' in stored;
}

function isDone(value: Uint8Array): boolean {
  const stored = readStoredKey(value);
  return stored !== undefined && 'forgotten' in stored && stored.erasing === undefined;
}

/** @throws KeysUnavailable: nobody is taken for forgotten, or not, because of an entry that cannot be read */
function entryOf(key: string, value: Uint8Array): ForgottenPerson {
  const stored = readStoredKey(value);
  const person = personOfToken(key);
  if (stored === undefined || !('forgotten' in stored))
    throw new KeysUnavailable(`what the ledger of forgotten persons holds of ${person} is damaged`);
  return { person, at: stored.forgotten };
}
