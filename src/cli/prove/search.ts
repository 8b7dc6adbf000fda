import { type Automaton, createAutomaton } from './automaton.ts';
import type { Needle } from './needles.ts';

/** Something that was found, without what it says. */
export interface Find {
  readonly what: string;
  readonly how: string;
  readonly where: string;
}

/** What was found of one kind: all are counted, and the first ones told. */
export interface Finds {
  readonly count: number;
  readonly first: readonly Find[];
}

/** Looks for needles in bytes of any length, in constant memory. */
export interface Search {
  /** A place, whose bytes follow. Finds of the same needle in one place count once. */
  enter(where: () => string): { look(bytes: Uint8Array): void };
  /** How many bytes it has looked through. */
  readonly bytes: number;
  /** What must not be there. */
  found(): Finds;
  /** Digests under a secret key, which may. */
  left(): Finds;
}

const MOST_TOLD = 100;

/** @see Search */
export function createSearch(needles: readonly Needle[]): Search {
  const [found, left] = [createFinds(), createFinds()];
  const sides = [true, false].flatMap((foldCase) => {
    const some = needles.filter((needle) => needle.foldCase === foldCase);
    const automaton: Automaton = createAutomaton(
      some.map(({ bytes }) => bytes),
      foldCase,
    );
    return some.length === 0 ? [] : [{ some, automaton }];
  });
  let seen = 0;
  return {
    enter: (where) => {
      const states = sides.map(() => 0);
      const told = new Set<string>();
      const tell = ({ what, how, mayStay }: Needle): void => {
        if (told.has(`${what} ${how}`)) return;
        told.add(`${what} ${how}`);
        (mayStay ? left : found).add({ what, how, where: where() });
      };
      return {
        look: (bytes) => {
          seen += bytes.length;
          for (const [index, { some, automaton }] of sides.entries()) {
            states[index] = automaton.next(states[index] ?? 0, bytes, (number) => {
              const needle = some[number];
              if (needle !== undefined) tell(needle);
            });
          }
        },
      };
    },
    get bytes() {
      return seen;
    },
    found: found.all,
    left: left.all,
  };
}

function createFinds(): { add(find: Find): void; all(): Finds } {
  const first: Find[] = [];
  let count = 0;
  return {
    add: (find) => {
      count++;
      if (first.length < MOST_TOLD) first.push(find);
    },
    all: () => ({ count, first }),
  };
}
