import type { EmailKey } from '../../app/email-key.ts';
import { UsageError } from '../command.ts';
import { needlesOfDigests } from './digests.ts';
import { SHORTEST } from './finder.ts';
import { type Needle, needlesOfBytes, needlesOfText, objectionTo } from './needles.ts';

/** How a line begins that is a key, wrapped, in base64. */
const KEY = 'key:';
/** What is looked for at once takes memory. */
const MOST_VALUES = 500;
/** Fewer bytes are no key. */
const LEAST_KEY_BYTES = 32;

/** What is to be gone of a person, as whoever asks for the proof says it. */
export interface PersonalValues {
  readonly values: readonly { readonly what: string; readonly text: string }[];
  readonly keys: readonly { readonly what: string; readonly bytes: Uint8Array }[];
  /** What was given and cannot be looked for, and why. */
  readonly refused: readonly string[];
}

/** Reads one value a line; each is named by its line from here on. @throws UsageError for none, too many, or no key */
export function readValues(text: string): PersonalValues {
  const values: PersonalValues['values'][number][] = [];
  const keys: PersonalValues['keys'][number][] = [];
  const refused: string[] = [];
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const value = line.trim();
    if (value === '') continue;
    if (value.startsWith(KEY)) {
      const bytes = Buffer.from(value.slice(KEY.length), 'base64');
      if (bytes.length < LEAST_KEY_BYTES)
        throw new UsageError(
          `Line ${index + 1} of the values is no key: write key: and a wrapped key in base64.`,
        );
      keys.push({ what: `the key in line ${index + 1}`, bytes });
      continue;
    }
    const what = `line ${index + 1}`;
    const objection = objectionTo(value);
    if (objection === undefined) values.push({ what, text: value });
    else refused.push(`${what} of the values: ${objection}`);
  }
  if (values.length + keys.length === 0)
    throw new UsageError('There is nothing to look for: give values, one a line (jetledger help forget).');
  if (values.length > MOST_VALUES)
    throw new UsageError(`There are ${values.length} values: give at most ${MOST_VALUES} at once.`);
  return { values, keys, refused };
}

/** What `readValues` reads. */
export function writeValues(values: readonly string[], keys: readonly Uint8Array[]): string {
  const wrapped = keys.map((key) => KEY + Buffer.from(key).toString('base64'));
  return `${[...values, ...wrapped].join('\n')}\n`;
}

/** Everything that is looked for: values, keys, digests of values, and the person's id as what must be seen. */
export function needlesOf(
  { values, keys }: PersonalValues,
  user: string,
  emailKey: EmailKey,
): readonly Needle[] {
  // As subjects of the log have it.
  const witness = { what: 'the id', how: 'as it is', kind: 'witness', foldCase: false } as const;
  return [
    ...values.flatMap(({ what, text }) => needlesOfText(what, text)),
    ...keys.flatMap(({ what, bytes }) => needlesOfBytes(what, bytes)),
    ...needlesOfDigests(values, user, emailKey),
    { ...witness, bytes: Buffer.from(`.${user}`.padStart(SHORTEST, '.')) },
  ];
}
