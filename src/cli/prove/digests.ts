import { createHash } from 'node:crypto';
import { fingerprintOf } from '../../api/meta.ts';
import type { EmailKey } from '../../app/email-key.ts';
import { normaliseEmail } from '../../domain/values.ts';
import { nameDigests } from '../../projections/views/names.ts';
import { type Needle, type NeedleKind, needlesOfBytes } from './needles.ts';

type Keys = Pick<EmailKey, 'idOf' | 'digestOf' | 'pseudonymOf' | 'keyedFingerprint'>;

/** As many bytes of a digest are looked for: some are cut. */
const DIGEST_BYTES = 16;
/** Of addresses with names: more are not tried. */
const MOST_PAIRS = 1_000;

/**
 * Digests by which somebody could try values: SHA-256 of each, digests of the requests that could have brought them, and
 * what the service keeps under the key of addresses, which may stay.
 */
export function needlesOfDigests(
  values: readonly { readonly what: string; readonly text: string }[],
  user: string,
  key: Keys,
): readonly Needle[] {
  const needles: Needle[] = [];
  const add = (what: string, digest: Uint8Array | string, kind: NeedleKind): void => {
    const bytes = typeof digest === 'string' ? Buffer.from(digest) : digest;
    needles.push(...needlesOfBytes(what, bytes, kind));
  };
  for (const { what, text } of values) {
    for (const form of new Set([text, text.toLowerCase(), text.normalize('NFC')])) {
      const digest = createHash('sha256').update(form).digest();
      add(`SHA-256 of ${what}`, digest.subarray(0, DIGEST_BYTES), 'gone');
    }
    const address = addressIn(text);
    if (address !== undefined) add(`keyed digest of ${what} as an address`, key.idOf(address), 'keyed');
    const begin = nameDigests(text, key.digestOf).at(-1);
    if (begin !== undefined) add(`keyed digest of how ${what} begins`, begin, 'keyed');
    add(`keyed digest of ${what} as a user of tokens`, key.pseudonymOf(text), 'keyed');
  }
  for (const { what, digest } of requestsWith(values, user)) {
    add(`digest of ${what}`, digest, 'gone');
    add(`keyed digest of ${what}`, key.keyedFingerprint(digest), 'keyed');
  }
  return needles;
}

function addressIn(text: string): string | undefined {
  return text.includes('@') ? normaliseEmail(text) : undefined;
}

/** The requests of the API that hold nothing but what is known: registrations, new names and addresses, reasons. */
function* requestsWith(values: Parameters<typeof needlesOfDigests>[0], user: string) {
  const digestOf = (route: string, params: object, body: object) => fingerprintOf([route, params, body]);
  const params = { id: user };
  let pairs = 0;
  for (const { what, text } of values) {
    yield {
      what: `a new name, ${what}`,
      digest: digestOf('PATCH /v1/users/:id', params, { name: text }),
    };
    yield {
      what: `a reason, ${what}`,
      digest: digestOf('POST /v1/users/:id/deactivate', params, { reason: text }),
    };
    if (addressIn(text) === undefined) continue;
    const body = { email: text };
    yield {
      what: `a new address, ${what}`,
      digest: digestOf('POST /v1/users/:id/email', params, body),
    };
    for (const name of values) {
      if (++pairs > MOST_PAIRS) return;
      const digest = digestOf('POST /v1/users', {}, { ...body, name: name.text });
      yield { what: `a registration with ${what} and ${name.what}`, digest };
    }
  }
}
