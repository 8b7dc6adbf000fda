import { createFinder } from './finder.ts';
import type { Needle } from './needles.ts';

/** Something that was found, without what it says. */
export interface Find {
  /** Which value, in which writing. */
  readonly what: string;
  /** In how many places. */
  count: number;
  /** The first of them. */
  readonly where: string[];
}

/** Looks for needles in bytes of any length, in constant memory. */
export interface Search {
  /** A place, whose bytes follow. A needle that is there more than once counts once. */
  enter(where: () => string): { look(bytes: Uint8Array): void };
  /** Adds what was found by other means. */
  tell(what: string, where: string): void;
  /** How many bytes it has looked through. */
  readonly bytes: number;
  /** What must not be there. */
  found(): readonly Find[];
  /** Digests under a secret key, which may. */
  left(): readonly Find[];
  /** In how many places a witness was. */
  witnessed(): number;
}

/** Places that are told of each find. */
const MOST_PLACES = 10;

/** @see Search */
export function createSearch(needles: readonly Needle[]): Search {
  const finds = { gone: new Map<string, Find>(), keyed: new Map<string, Find>() };
  let [seen, witnessed] = [0, 0];
  const sides = [true, false].flatMap((foldCase) => {
    const some = needles.filter((needle) => needle.foldCase === foldCase);
    if (some.length === 0) return [];
    const sequences = some.map(({ bytes }) => bytes);
    return [{ some, finder: createFinder(sequences, foldCase) }];
  });
  return {
    enter: (where) => {
      const readers = sides.map(({ some, finder }) => ({ some, read: finder.begin() }));
      const told = new Set<Needle>();
      const hit = (needle: Needle): void => {
        if (told.has(needle)) return;
        told.add(needle);
        if (needle.kind === 'witness') witnessed++;
        else add(finds[needle.kind], `${needle.what}, ${needle.how}`, where());
      };
      return {
        look: (bytes) => {
          seen += bytes.length;
          for (const { some, read } of readers) {
            read(bytes, (number) => {
              const needle = some[number];
              if (needle !== undefined) hit(needle);
            });
          }
        },
      };
    },
    tell: (what, where) => add(finds.gone, what, where),
    get bytes() {
      return seen;
    },
    found: () => [...finds.gone.values()],
    left: () => [...finds.keyed.values()],
    witnessed: () => witnessed,
  };
}

function add(finds: Map<string, Find>, what: string, where: string): void {
  const find = finds.get(what) ?? { what, count: 0, where: [] };
  finds.set(what, find);
  find.count++;
  if (find.where.length < MOST_PLACES) find.where.push(where);
}
