import { createCipheriv, createDecipheriv, randomFillSync } from 'node:crypto';
import { EventStoreError } from '../errors.ts';

/** How the events of this log are encrypted, as they say it. */
export const FIELDS_V1 = 'fields-v1';

/** Where a sealed text belongs, and to whom; it opens nowhere else. */
export interface Place {
  readonly category: string;
  /** Of the aggregate. */
  readonly id: string;
  /** The event's type as it is stored. */
  readonly type: string;
  /** The number of the event's field that it is, or lies in. */
  readonly field: number;
  /** Where it lies in that field, as `Sealed` says it; empty when it is the field. */
  readonly within: string;
  readonly person: string;
  /** Which of the person's keys. */
  readonly key: number;
}

const ALGORITHM = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** Seals a text for its place, under a key of 32 bytes. @returns nonce, ciphertext and tag */
export function sealText(place: Place, key: Uint8Array, text: string): Uint8Array<ArrayBuffer> {
  return encrypt(key, boundTo(place), Buffer.from(text, 'utf8'));
}

/** The text that was sealed. @throws EventStoreError `personal/refused`: it was moved or changed, or the key is another */
export function openText(place: Place, key: Uint8Array, sealed: Uint8Array): string {
  try {
    return decrypt(key, boundTo(place), sealed).toString('utf8');
  } catch (cause) {
    const { category, id, type, field } = place;
    const message = `A sealed text does not open as field ${field} of ${type} of ${category}/${id}: it was moved or changed.`;
    throw new EventStoreError('personal/refused', message, { cause });
  }
}

/** As JSON, so that no two places come to the same bytes. */
function boundTo({ category, id, type, field, within, person, key }: Place): Buffer {
  const place = [FIELDS_V1, category, id, type, field, person, key];
  return Buffer.from(JSON.stringify(within === '' ? place : [...place, within]));
}

/** AES-256-GCM under a random nonce. @returns nonce, ciphertext and tag */
export function encrypt(key: Uint8Array, bound: Uint8Array, plain: Uint8Array): Uint8Array<ArrayBuffer> {
  const sealed = new Uint8Array(NONCE_BYTES + plain.length + TAG_BYTES);
  sealed.set(drawNonce());
  const nonce = sealed.subarray(0, NONCE_BYTES);
  const cipher = createCipheriv(ALGORITHM, key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(bound);
  sealed.set(cipher.update(plain), NONCE_BYTES);
  // Its whole ciphertext is out by now, as always with this cipher.
  cipher.final();
  sealed.set(cipher.getAuthTag(), NONCE_BYTES + plain.length);
  return sealed;
}

// Drawn many at once: each draw costs more than half of what a cipher does. They are no secret.
const nonces = new Uint8Array(NONCE_BYTES * 256);
let used = nonces.length;

function drawNonce(): Uint8Array {
  if (used === nonces.length) {
    randomFillSync(nonces);
    used = 0;
  }
  used += NONCE_BYTES;
  return nonces.subarray(used - NONCE_BYTES, used);
}

/** What was encrypted under this key and bound to this. @throws Error when it was not */
export function decrypt(key: Uint8Array, bound: Uint8Array, sealed: Uint8Array): Buffer {
  const end = sealed.length - TAG_BYTES;
  if (end < NONCE_BYTES) throw new RangeError('too short');
  const nonce = sealed.subarray(0, NONCE_BYTES);
  const decipher = createDecipheriv(ALGORITHM, key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(bound);
  decipher.setAuthTag(sealed.subarray(end));
  return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, end)), decipher.final()]);
}
