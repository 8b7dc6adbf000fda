import {
  BEGINNING,
  type Log,
  numberOf,
  type Position,
  type Runtime,
  readMarks,
  type SkipMark,
  skipPosition,
  undoSkip,
} from '../eventstore/index.ts';
import { type Buckets, bucketNames, parseRow } from '../processes/engine/index.ts';

/** Says how a position is passed over, for errors about damaged bytes. */
export const skipHint = (position: Position): string =>
  `Restore a backup, or have it passed over: jetledger skip ${numberOf(position)} --reason TEXT`;

/** A skip mark for people. */
export interface ShownMark extends SkipMark {
  /** Missing where the record of the action was erased. */
  readonly by?: string;
}

/** Skip marks as operators see and change them: the log says what and why, a row beside the dead letters who. */
export interface Skips {
  /** In the order in which they were set. @throws LogUnavailable */
  list(): Promise<readonly ShownMark[]>;
  /**
   * Has views and reactions pass over a position, or takes that back. False when there is nothing to change.
   * @throws as `skipPosition`
   */
  change(wish: MarkWish): Promise<boolean>;
}

/** What an operator asks for. */
export interface MarkWish {
  readonly position: Position;
  readonly reason: string;
  readonly by: string;
  readonly undo: boolean;
}

/** What is kept of an action besides the log; deleting it erases who it was. */
interface ActionRecord {
  readonly by: string;
  readonly at: number;
  readonly position: number;
  readonly did: 'skip' | 'undo';
}

/** No consumer's dead letter: those have a slot behind the first dot. */
const keyOfAction = (action: string): string => `skips.${action}`;

export function createSkips(deps: {
  readonly log: Log;
  readonly buckets: Buckets;
  readonly prefix: string;
  readonly runtime: Runtime;
}): Skips {
  const { log, buckets, prefix, runtime } = deps;
  const name = bucketNames(prefix).parked;

  const record = async (action: string, value: ActionRecord): Promise<void> => {
    // An operator's key need not be able to make one.
    const bucket = (await buckets.open(name)) ?? (await buckets.create(name, { durable: true }));
    const bytes = Buffer.from(JSON.stringify(value));
    await bucket.write({ key: keyOfAction(action), value: bytes, expectedRevision: 0, position: BEGINNING });
  };

  return {
    list: async () => {
      const { skipped } = await readMarks(log);
      const bucket = skipped.size === 0 ? undefined : await buckets.open(name);
      const shown = [...skipped.values()].map(async (mark): Promise<ShownMark> => {
        const row = await bucket?.get(keyOfAction(mark.action), { leader: true });
        const by = parseRow<ActionRecord>(row)?.by;
        return { ...mark, ...(by !== undefined && { by }) };
      });
      return Promise.all(shown);
    },
    change: async ({ position, reason, by, undo }) => {
      if ((await readMarks(log)).skipped.has(position) !== undo) return false;
      const action = runtime.id();
      // Before the mark: one that nobody set must not be found.
      await record(action, {
        by,
        at: runtime.now(),
        position: numberOf(position),
        did: undo ? 'undo' : 'skip',
      });
      const change = undo ? undoSkip : skipPosition;
      return change(log, runtime, { position, reason, action });
    },
  };
}
