import { EventStoreError } from '../errors.ts';

/** What is kept of a person's key: the key, wrapped; or, once it was destroyed, when that was. Stored as JSON. @internal */
export type StoredKey =
  | {
      readonly number: number;
      /** Names the master key that it is wrapped with. */
      readonly master: string;
      readonly wrapped: Uint8Array;
    }
  | Tombstone;

/** Says that somebody was forgotten. @internal */
export interface Tombstone {
  /** When, in milliseconds since the Unix epoch. */
  readonly forgotten: number;
  /** The bytes of the key may still be in the store's files. */
  readonly erasing?: true;
}

/** The bytes of a stored key. */
export function writeStoredKey(stored: StoredKey): Uint8Array {
  if ('forgotten' in stored) return Buffer.from(JSON.stringify(stored));
  const { number, master, wrapped } = stored;
  return Buffer.from(JSON.stringify({ number, master, wrapped: Buffer.from(wrapped).toString('base64') }));
}

/** What bytes of the bucket say; undefined for whatever is neither a key nor a tombstone. @internal */
export function readStoredKey(bytes: Uint8Array): StoredKey | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'));
    if (typeof value !== 'object' || value === null) return undefined;
    if ('forgotten' in value) {
      if (typeof value.forgotten !== 'number') return undefined;
      return { forgotten: value.forgotten, ...('erasing' in value && { erasing: true }) };
    }
    if (!('number' in value && 'master' in value && 'wrapped' in value)) return undefined;
    const { number, master, wrapped } = value;
    if (typeof number !== 'number' || typeof master !== 'string' || typeof wrapped !== 'string')
      return undefined;
    return { number, master, wrapped: new Uint8Array(Buffer.from(wrapped, 'base64')) };
  } catch {
    return undefined;
  }
}

const PLAIN = /^[A-Za-z0-9_-]{1,128}$/;
const LONGEST_PERSON = 128;

/** Where a person's key is kept: ids that a bucket's key may be as they are, others in base64url behind a `=`. @internal */
export function tokenOf(person: string): string {
  if (PLAIN.test(person)) return person;
  if (person === '' || person.length > LONGEST_PERSON || !person.isWellFormed()) {
    const shown = JSON.stringify(person.slice(0, LONGEST_PERSON));
    throw new EventStoreError(
      'event/invalid',
      `The person ${shown} is not allowed: use an id of 1 to ${LONGEST_PERSON} characters. Nothing was stored.`,
    );
  }
  return `=${Buffer.from(person, 'utf8').toString('base64url')}`;
}

/** Whose key is kept there. */
export function personOfToken(token: string): string {
  return token.startsWith('=') ? Buffer.from(token.slice(1), 'base64url').toString('utf8') : token;
}
