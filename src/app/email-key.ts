import { createHmac } from 'node:crypto';

const MIN_KEY_BYTES = 32;
const CHECK_LENGTH = 16;
const DIGEST_LENGTH = 12;

/** Turns addresses into the ids of their aggregates, so that no address stands in a subject. */
export interface EmailKey {
  /** The id of the aggregate `email` for a normalised address: 43 characters of base64url. */
  idOf(address: string): string;
  /**
   * 16 characters that are the same for the same key and say nothing about it. Stored with the topology and compared
   * at start-up: under another key every address would be free again (protocol 6).
   */
  readonly check: string;
  /** Stands for the beginning of a name where names must not lie: 12 characters of base64url. */
  digestOf(text: string): string;
  /** Stands for a token's user whose own name must not become part of a subject: 64 hexadecimal digits. */
  pseudonymOf(user: string): string;
}

/** @throws RangeError when the secret has less than 32 bytes, since addresses can be guessed and tried */
export function createEmailKey(secret: Uint8Array): EmailKey {
  if (secret.length < MIN_KEY_BYTES) {
    throw new RangeError(
      `The key of e-mail addresses has ${secret.length} bytes; give at least ${MIN_KEY_BYTES}.`,
    );
  }
  // Each purpose signs under its own prefix, so that the stored check value is never the id of some address.
  const sign = (purpose: string, text: string, as: 'base64url' | 'hex' = 'base64url'): string =>
    createHmac('sha256', secret).update(`jetledger/${purpose}/v1\n${text}`, 'utf8').digest(as);
  return {
    idOf: (address) => sign('email-id', address),
    check: sign('email-key-check', '').slice(0, CHECK_LENGTH),
    digestOf: (text) => sign('name-prefix', text).slice(0, DIGEST_LENGTH),
    pseudonymOf: (user) => sign('token-user', user, 'hex'),
  };
}
