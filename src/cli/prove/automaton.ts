/** Finds many sequences of bytes in one pass, whatever their number (Aho and Corasick, 1975). */
export interface Automaton {
  /**
   * Goes over the next bytes. What began in those before is found, too.
   * @param state what it returned for the bytes before; 0 at a beginning
   * @param onHit told of each sequence that ends here, by its number
   */
  next(state: number, bytes: Uint8Array, onHit: (sequence: number) => void): number;
}

const LETTERS = 26;
const [UPPER_A, LOWER_A] = [65, 97];

/** @param sequences none empty @param foldCase whether A to Z and a to z are the same */
export function createAutomaton(sequences: readonly Uint8Array[], foldCase: boolean): Automaton {
  const { kinds, count } = kindsOf(sequences, foldCase);
  const { children, ends } = trieOf(sequences, kinds);
  // Each row begins at a multiple of `count`; a negative entry leads to a state in which something ends.
  const table = new Int32Array(children.length * count);
  const failures = new Int32Array(children.length);
  const order = [0];
  for (let at = 0; at < order.length; at++) {
    const state = order[at] ?? 0;
    const failure = failures[state] ?? 0;
    for (let kind = 0; kind < count; kind++) {
      const child = children[state]?.get(kind);
      const otherwise = state === 0 ? 0 : targetOf(table[failure * count + kind] ?? 0) / count;
      if (child !== undefined) {
        failures[child] = otherwise;
        ends[child] = [...(ends[child] ?? []), ...(ends[otherwise] ?? [])];
        order.push(child);
      }
      const next = child ?? otherwise;
      const isEnd = (ends[next] ?? []).length > 0;
      table[state * count + kind] = isEnd ? ~(next * count) : next * count;
    }
  }
  return {
    next: (state, bytes, onHit) => {
      let row = state;
      for (let at = 0; at < bytes.length; at++) {
        row = table[row + (kinds[bytes[at] ?? 0] ?? 0)] ?? 0;
        if (row >= 0) continue;
        row = ~row;
        for (const sequence of ends[row / count] ?? []) onHit(sequence);
      }
      return row;
    },
  };
}

const targetOf = (entry: number): number => (entry < 0 ? ~entry : entry);

/** Bytes that occur in no sequence are of one kind, 0; so the table stays small. */
function kindsOf(sequences: readonly Uint8Array[], foldCase: boolean) {
  const kinds = new Uint16Array(256);
  let count = 1;
  for (const byte of new Set(sequences.flatMap((sequence) => [...sequence]))) {
    const isUpper = foldCase && byte >= UPPER_A && byte < UPPER_A + LETTERS;
    const folded = isUpper ? byte + LOWER_A - UPPER_A : byte;
    kinds[folded] ||= count++;
    kinds[byte] = kinds[folded] ?? 0;
  }
  if (foldCase)
    for (let letter = 0; letter < LETTERS; letter++) kinds[UPPER_A + letter] = kinds[LOWER_A + letter] ?? 0;
  return { kinds, count };
}

function trieOf(sequences: readonly Uint8Array[], kinds: Uint16Array) {
  const children: Map<number, number>[] = [new Map()];
  const ends: number[][] = [[]];
  for (const [number, sequence] of sequences.entries()) {
    let state = 0;
    for (const byte of sequence) {
      const kind = kinds[byte] ?? 0;
      let child = children[state]?.get(kind);
      if (child === undefined) {
        child = children.push(new Map()) - 1;
        ends.push([]);
        children[state]?.set(kind, child);
      }
      state = child;
    }
    ends[state]?.push(number);
  }
  return { children, ends };
}
