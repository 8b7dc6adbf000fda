import type { Runtime } from '../runtime.ts';
import { systemRuntime } from '../runtime.ts';
import { openText } from './cipher.ts';
import { KeyRing, KeyUnreadable, type Lacking, NO_KEYS, type PersonKeys } from './keys.ts';
import { mapSealed, readSealed } from './sealed-text.ts';

/** How a process deals with personal data. */
export interface PersonalDataOptions {
  readonly keys: PersonKeys;
  /** Whether marked fields of new events are sealed; what is sealed is opened in any case. */
  readonly encrypt: boolean;
  /** What stands in place of a text of a person who was forgotten; `forgotten` unless given. */
  readonly forgotten?: string;
  /** Default: the real clock. */
  readonly runtime?: Pick<Runtime, 'now'>;
}

/** Opens what is sealed, and says whether new events are. */
export interface PersonalData {
  readonly encrypt: boolean;
  /**
   * Plain data (a row, a state, events) with every sealed text in it opened, after one round of gets for all persons in
   * it; the same value where nothing is sealed. For whoever shows or sends it: what is stored is never opened before.
   * @throws KeysUnavailable; EventStoreError `personal/refused`, `personal/damaged`
   */
  open<T>(value: T): Promise<T>;
  /** The same for the bytes of a JSON text, which come back as they are where nothing is sealed. @throws as `open` */
  openJson(json: Uint8Array): Promise<Uint8Array>;
  /**
   * The same for an object that is one of many, which shall not hold up the others: where the key of a person is missing or
   * damaged, that person's texts are empty and the object says `"unreadable":true`. @throws KeysUnavailable and as `open`
   */
  openListed(json: Uint8Array): Promise<Uint8Array>;
  /** Keys for one piece of work. @internal */
  ring(): KeyRing;
  /** Opens with the keys at hand; `lacking` where some have to be fetched first. @internal */
  openNow<T>(
    value: T,
    keys: Pick<KeyRing, 'get'>,
  ): { readonly value: T; readonly lacking: Lacking | undefined };
}

/** @see PersonalData */
export function createPersonalData(options: PersonalDataOptions): PersonalData {
  const { keys, encrypt, forgotten = 'forgotten', runtime = systemRuntime } = options;
  const ring = () => new KeyRing(keys, runtime);

  function openNow<T>(value: T, atHand: Pick<KeyRing, 'get'>) {
    const persons = new Set<string>();
    const opened = mapSealed(value, (text) => {
      const { sealed, ...place } = readSealed(text);
      const key = atHand.get(place.person);
      if (key === 'forgotten') return forgotten;
      if (key === undefined) {
        persons.add(place.person);
        return text;
      }
      if (key.number !== place.key)
        throw new KeyUnreadable(`the key ${place.key} of the person ${place.person} is missing`);
      return openText(place, key.key, sealed);
    });
    const lacking: Lacking | undefined = persons.size === 0 ? undefined : { persons, how: 'read' };
    return { value: opened, lacking };
  }

  async function open<T>(value: T): Promise<T> {
    const atHand = ring();
    for (;;) {
      const opened = openNow(value, atHand);
      if (opened.lacking === undefined) return opened.value;
      await atHand.fetch(opened.lacking);
    }
  }

  /** Nothing where the person's key is unreadable. */
  const openOrEmpty = (text: string): Promise<string> =>
    open(text).catch((error: unknown) => {
      if (error instanceof KeyUnreadable) return '';
      throw error;
    });

  async function openListed(json: Uint8Array): Promise<Uint8Array> {
    try {
      return await openJson(json, open);
    } catch (error) {
      if (!(error instanceof KeyUnreadable) || json.at(-1) !== OBJECT_ENDS) throw error;
    }
    const opened = await openJson(json, (texts) => Promise.all(texts.map(openOrEmpty)));
    return Buffer.concat([opened.subarray(0, -1), UNREADABLE]);
  }

  return { encrypt, open, openJson: (json) => openJson(json, open), openListed, ring, openNow };
}

/** For a process without keys: nothing is sealed, and nothing sealed can be opened. */
export const WITHOUT_KEYS: PersonalData = createPersonalData({ keys: NO_KEYS, encrypt: false });

const OBJECT_ENDS = 0x7d;
/** The end of an object in which something could not be opened. */
const UNREADABLE = Buffer.from(',"unreadable":true}');

/**
 * What stands in JSON wherever something is sealed, and seldom elsewhere. Begins with a character that JSON has few of: a
 * megabyte is looked through in 0.03 ms, and in 6 ms for a text that begins with a quotation mark.
 */
const MARK_IN_JSON = '\\u0001';
/** How `JSON.stringify` writes a sealed text; no other text comes out as that, since its `\` is doubled. */
const SEALED_IN_JSON = /"\\u0001[A-Za-z0-9_-]*"/g;

/** Whether something may be sealed in a JSON text. @internal */
export function mayHoldSealed(json: string | Buffer): boolean {
  return json.includes(MARK_IN_JSON);
}

async function openJson(
  json: Uint8Array,
  open: (texts: readonly string[]) => Promise<readonly string[]>,
): Promise<Uint8Array> {
  const bytes = Buffer.from(json.buffer, json.byteOffset, json.length);
  if (!mayHoldSealed(bytes)) return json;
  const text = bytes.toString('utf8');
  const sealed = text.match(SEALED_IN_JSON);
  if (sealed === null) return json;
  const opened = await open(sealed.map((each) => JSON.parse(each) as string));
  const next = opened.values();
  return Buffer.from(text.replace(SEALED_IN_JSON, () => JSON.stringify(next.next().value)));
}
