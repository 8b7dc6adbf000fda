/** Finds many sequences of bytes in one pass, whatever their number. */
export interface Finder {
  /** A reader of bytes that come one after the other: what is cut between two of them is found, too. */
  begin(): (bytes: Uint8Array, onHit: (sequence: number) => void) => void;
}

/** What a sequence ends with is looked up first, and this long; a shorter one cannot be looked for. */
export const SHORTEST = 4;
/** Of the table, for each sequence: so few bytes look like the end of one, and the table stays small enough to be fast. */
const PLACES_EACH = 64;
const GOLDEN = 0x9e3779b1;
const LETTERS = 26;
const [UPPER_A, LOWER_A] = [65, 97];

/**
 * Each byte costs a look at one place of a table: whether any sequence ends like the last four bytes. Where one may, it is compared.
 * @param foldCase whether A to Z and a to z are the same
 * @throws RangeError for a sequence of less than four bytes
 */
export function createFinder(sequences: readonly Uint8Array[], foldCase: boolean): Finder {
  const fold = new Uint8Array(256).map((_, byte) =>
    foldCase && byte >= UPPER_A && byte < UPPER_A + LETTERS ? byte + LOWER_A - UPPER_A : byte,
  );
  const folded = sequences.map((sequence) => sequence.map((byte) => fold[byte] ?? byte));
  const longest = Math.max(0, ...folded.map(({ length }) => length));
  const unused = Math.clz32(sequences.length * PLACES_EACH);
  const ends = new Uint8Array(2 ** (32 - unused));
  const byEnd = new Map<number, number[]>();
  for (const [number, sequence] of folded.entries()) {
    if (sequence.length < SHORTEST) throw new RangeError(`A sequence has less than ${SHORTEST} bytes.`);
    const end = sequence.slice(-SHORTEST).reduce((window, byte) => (window << 8) | byte, 0);
    ends[Math.imul(end, GOLDEN) >>> unused] = 1;
    byEnd.set(end, [...(byEnd.get(end) ?? []), number]);
  }
  const endsAt = (number: number, bytes: Uint8Array, end: number): boolean => {
    const sequence = folded[number] ?? bytes;
    const start = end - sequence.length;
    if (start < 0) return false;
    return sequence.every((byte, at) => fold[bytes[start + at] ?? 0] === byte);
  };
  /** The sequences that end there. */
  const endingAt = (window: number, bytes: Uint8Array, end: number): readonly number[] =>
    (byEnd.get(window) ?? []).filter((number) => endsAt(number, bytes, end));
  return {
    begin: () => {
      let window = 0;
      let before: Uint8Array = new Uint8Array(0);
      return (next, onHit) => {
        const bytes = before.length === 0 ? next : Buffer.concat([before, next]);
        for (let at = before.length; at < bytes.length; at++) {
          window = (window << 8) | (fold[bytes[at] ?? 0] ?? 0);
          if (ends[Math.imul(window, GOLDEN) >>> unused] === 0) continue;
          for (const number of endingAt(window, bytes, at + 1)) onHit(number);
        }
        before = bytes.slice(-longest);
      };
    },
  };
}
