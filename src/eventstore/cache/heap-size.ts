/** How many elements of a list are measured at the most; the others are taken for what these are. */
const SAMPLE = 16;
/** Deeper than plain data is; what goes around in a circle ends here. */
const DEEPEST = 40;

// As V8 lays them out on 64 bits: three words before the fields of an object, one for each of them.
const WORD = 8;
const OBJECT = 3 * WORD;
/** Of an empty array nothing: most are constants that many values share. */
const ARRAY = 4 * WORD;
/** The head of where the elements of an array are. */
const ELEMENTS = 2 * WORD;
const STRING = 2 * WORD;
const BOXED_NUMBER = 2 * WORD;
const BIGINT = 3 * WORD;
/** A place in the table of a map or set, with the room that a table keeps free. */
const TABLE_ENTRY = 6 * WORD;
/** An object that is no plain data, such as a date or a view on bytes, without what is behind it. */
const OTHER = 12 * WORD;
const ONE_BYTE = 0xff;
/** A text of another script shows it here. */
const LOOKED_AT = 8;

/** A structured clone makes its objects with this many places for fields, and the further ones in a list of their own. */
const CLONED_FIELDS = 4;
const MORE_CLONED_FIELDS = 3;

/**
 * About how many bytes of memory a value takes that is plain data: reckoned by its shape, long lists by a sample, so that
 * it costs microseconds whatever its size. What two of its parts share counts twice.
 * @param cloned whether its objects came out of a structured clone, which makes them larger than a program does
 */
export function heapBytesOf(value: unknown, cloned = false): number {
  return bytesOf(value, cloned, SAMPLE, 0);
}

function bytesOf(value: unknown, cloned: boolean, sample: number, depth: number): number {
  switch (typeof value) {
    case 'string':
      return bytesOfText(value);
    case 'number':
      return (value | 0) === value ? 0 : BOXED_NUMBER;
    case 'bigint':
      return BIGINT;
    case 'object':
      return value === null || depth > DEEPEST ? 0 : bytesOfObject(value, cloned, sample, depth + 1);
    default:
      return 0;
  }
}

function bytesOfText(text: string): number {
  for (let i = 0; i < LOOKED_AT && i < text.length; i++) {
    if (text.charCodeAt(i) > ONE_BYTE) return STRING + wholeWords(2 * text.length);
  }
  return STRING + wholeWords(text.length);
}

const wholeWords = (bytes: number): number => (bytes + WORD - 1) & -WORD;

function bytesOfObject(value: object, cloned: boolean, sample: number, depth: number): number {
  if (Array.isArray(value)) {
    if (value.length === 0) return 0;
    return ARRAY + ELEMENTS + value.length * WORD + bytesOfAll(value, cloned, sample, depth);
  }
  if (ArrayBuffer.isView(value)) return OTHER + value.byteLength;
  if (value instanceof Map || value instanceof Set) {
    const all: unknown[] = value instanceof Map ? [...value].flat() : [...value];
    return OTHER + value.size * TABLE_ENTRY + bytesOfAll(all, cloned, sample, depth);
  }
  let bytes = OBJECT;
  let fields = 0;
  for (const name in value) {
    fields++;
    bytes += bytesOf(value[name as keyof typeof value], cloned, sample, depth);
  }
  if (cloned) fields = fields > CLONED_FIELDS ? fields + MORE_CLONED_FIELDS : CLONED_FIELDS;
  return bytes + fields * WORD;
}

/** What the elements take: of more than the sample, as many are measured at equal distances. */
function bytesOfAll(values: readonly unknown[], cloned: boolean, sample: number, depth: number): number {
  const measured = Math.min(values.length, sample);
  if (measured === 0) return 0;
  const each = Math.max(1, Math.floor(sample / measured));
  let bytes = 0;
  for (let i = 0; i < measured; i++) {
    bytes += bytesOf(values[Math.floor(((i + 0.5) * values.length) / measured)], cloned, each, depth);
  }
  return bytes * (values.length / measured);
}

/** Of so many values one is measured. */
const MEASURED_OF = 16;

/**
 * Reckons what values of one kind take in memory from how long they are when stored, which is cheaper where that is known
 * anyway: how many bytes of memory a stored byte takes is learned from some of them.
 * @returns the bytes of memory of a value of a stored length
 */
export function createHeapEstimate(): (value: unknown, stored: number) => number {
  let asked = 0;
  let measured = 0;
  let length = 0;
  return (value, stored) => {
    if (asked++ % MEASURED_OF === 0 || length === 0) {
      measured += heapBytesOf(value);
      length += stored;
    }
    return length === 0 ? 0 : (stored * measured) / length;
  };
}
