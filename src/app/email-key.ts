import { createHmac } from 'node:crypto';

const MIN_KEY_BYTES = 32;
const CHECK_LENGTH = 16;
const DIGEST_LENGTH = 12;
const FINGERPRINT_BYTES = 20;

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
  /** A webhook's secret as receivers write it, `whsec_` and base64: derived anew at each use and stored nowhere. */
  webhookSecret(webhookId: string, secretId: string): string;
  /** Stands for a token's user whose own name must not become part of a subject: 64 hexadecimal digits. */
  pseudonymOf(user: string): string;
  /**
   * The digest of a request under this key: 20 bytes, so that it is told from the unkeyed one of 16 that it is made of,
   * by which somebody with the log could try addresses.
   */
  keyedFingerprint(digest: Uint8Array): Uint8Array<ArrayBuffer>;
}

/** @throws RangeError when the secret has less than 32 bytes, since addresses can be guessed and tried */
export function createEmailKey(secret: Uint8Array): EmailKey {
  if (secret.length < MIN_KEY_BYTES) {
    throw new RangeError(
      `The key of e-mail addresses has ${secret.length} bytes; give at least ${MIN_KEY_BYTES}.`,
    );
  }
  // Each purpose signs under its own prefix, so that the stored check value is never the id of some address.
  const hmac = (purpose: string, content: string | Uint8Array) =>
    createHmac('sha256', secret).update(`jetledger/${purpose}/v1\n`, 'utf8').update(content);
  const sign = (purpose: string, text: string, as: 'base64url' | 'base64' | 'hex' = 'base64url'): string =>
    hmac(purpose, text).digest(as);
  return {
    idOf: (address) => sign('email-id', address),
    check: sign('email-key-check', '').slice(0, CHECK_LENGTH),
    digestOf: (text) => sign('name-prefix', text).slice(0, DIGEST_LENGTH),
    webhookSecret: (...ids) => `whsec_${sign('webhook-secret', ids.join('/'), 'base64')}`,
    pseudonymOf: (user) => sign('token-user', user, 'hex'),
    keyedFingerprint: (digest) =>
      new Uint8Array(hmac('fingerprint', digest).digest().subarray(0, FINGERPRINT_BYTES)),
  };
}
