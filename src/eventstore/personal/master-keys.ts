import { createHash } from 'node:crypto';
import { decrypt, encrypt } from './cipher.ts';
import { KeyUnreadable, UnknownMasterKey } from './keys.ts';

/** What the keys of persons are wrapped with: keys at hand, or a service that keeps them. */
export interface MasterKeys {
  /** Names the one that is used for what is wrapped now. Tells nothing of it. */
  readonly current: string;
  /** A person's key, wrapped with the current one for this person alone. @throws KeysUnavailable */
  wrap(person: string, key: Uint8Array): Promise<Uint8Array>;
  /** What was wrapped for the person with the master key of this name. @throws KeysUnavailable, KeyUnreadable, UnknownMasterKey */
  unwrap(master: string, person: string, wrapped: Uint8Array): Promise<Uint8Array>;
}

const SECRET_BYTES = 32;
const NAME_CHARS = 16;

/**
 * Master keys at hand.
 * @param current 32 random bytes, what is wrapped from now on
 * @param former those that were current before, as long as something is wrapped with them
 * @throws RangeError for a secret of another length
 */
export function createMasterKeys(current: Uint8Array, former: readonly Uint8Array[] = []): MasterKeys {
  const byName = new Map([...former, current].map((secret) => [nameOf(secret), secret]));
  return {
    current: nameOf(current),
    wrap: async (person, key) => encrypt(current, boundTo(person), key),
    unwrap: async (master, person, wrapped) => {
      const secret = byName.get(master);
      if (secret === undefined) throw new UnknownMasterKey(master);
      try {
        return new Uint8Array(decrypt(secret, boundTo(person), wrapped));
      } catch (cause) {
        throw new KeyUnreadable(`the key of the person ${person} was changed where it is kept`, cause);
      }
    },
  };
}

function nameOf(secret: Uint8Array): string {
  if (secret.length !== SECRET_BYTES)
    throw new RangeError(`A master key has ${SECRET_BYTES} bytes, and this one has ${secret.length}.`);
  return createHash('sha256')
    .update('jetledger master key\n')
    .update(secret)
    .digest('hex')
    .slice(0, NAME_CHARS);
}

const boundTo = (person: string): Buffer => Buffer.from(JSON.stringify(['person-key-v1', person]));
