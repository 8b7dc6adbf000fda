/** Which commits of a group are done: all up to `high` but the open ones. As a cursor stores it. */
export interface Place {
  readonly high: number;
  /** The commits up to `high` that are not done, in order. */
  readonly open: readonly number[];
}

/** The floor of a place: everything up to here is done. */
export function floorOf({ high, open }: Place): number {
  const [first] = open;
  return first === undefined ? high : first - 1;
}

/** What a group has read and what of it is not done; pure bookkeeping. */
export interface Progress {
  /** Everything of the group up to here is done. */
  readonly low: number;
  /** The highest position that was read. */
  readonly seen: number;
  /** The first commit that is not done. */
  readonly first: number | undefined;
  /** What a cursor has to say now. */
  place(): Place;
  /** Takes in the next position; positions come in order. True when the commit is to be handled. */
  begin(position: number): boolean;
  finish(position: number): void;
  /** A position that does not concern the consumer. */
  pass(position: number): void;
}

/** Goes on from a stored place, at its floor. */
export function createProgress(stored: Place): Progress {
  const openBefore = new Set(stored.open);
  // Positions are added in order, and a set keeps the order in which they came.
  const open = new Set<number>();
  let seen = floorOf(stored);

  const first = (): number | undefined => open.values().next().value;
  return {
    get low() {
      return (first() ?? seen + 1) - 1;
    },
    get seen() {
      return seen;
    },
    get first() {
      return first();
    },
    place: () => {
      const notRead = stored.open.filter((position) => position > seen);
      return { high: Math.max(seen, stored.high), open: [...open, ...notRead] };
    },
    begin: (position) => {
      seen = position;
      if (position <= stored.high && !openBefore.has(position)) return false;
      open.add(position);
      return true;
    },
    finish: (position) => {
      open.delete(position);
    },
    pass: (position) => {
      seen = position;
    },
  };
}
