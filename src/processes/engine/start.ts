import {
  BEGINNING,
  type Bucket,
  isAfter,
  type Log,
  numberOf,
  type Position,
  positionBefore,
  type Runtime,
} from '../../eventstore/index.ts';
import { type CursorValue, cursorIn } from './cursor.ts';
import { NoSuchStart } from './errors.ts';
import { toBytes, writeRow } from './rows.ts';
import { type Persistence, persist } from './signal.ts';

/**
 * Where a reaction begins that has never run: at the log's first event; with what is stored after its first start;
 * behind a position; or with the first commit that was decided at a time or later, in milliseconds since the Unix epoch.
 */
export type Start = 'beginning' | 'now' | { readonly position: Position } | { readonly time: number };

/** Where it is remembered, beside the consumer's cursors: in two tokens, where a cursor's key has three. @internal */
export function startKey(consumer: string): string {
  return `start.${consumer}`;
}

interface StartDeps {
  /** The bucket of the cursors. */
  readonly bucket: Bucket;
  readonly log: Pick<Log, 'incarnation' | 'former' | 'head' | 'next'>;
  readonly runtime: Runtime;
  readonly consumer: { readonly name: string; readonly from: Start };
  /** The log's end at the start of this process, where it is known. */
  readonly head?: Position | undefined;
  readonly signal: AbortSignal;
}

/**
 * Behind which position a group begins that has no cursor (protocol 26). The first one to ask resolves what the reaction
 * says and stores it; every other one, on whatever instance and whenever it comes, is told the same.
 * @throws ForeignCursor, NoSuchStart; LogUnavailable, OutcomeUnknown once the signal has fired
 */
export async function startOf(deps: StartDeps): Promise<Position> {
  const { bucket, log, runtime, consumer, signal } = deps;
  const how: Persistence = { runtime, signal };
  const key = startKey(consumer.name);
  for (;;) {
    const row = await persist(how, () => bucket.get(key, { leader: true }));
    const found = cursorIn(row, log);
    if (found !== undefined) return found.high;
    const high = await persist(how, () => resolve(deps));
    const { incarnation } = log;
    // As a cursor has it, so that a restore translates it like one.
    const value: CursorValue = { high, open: [], incarnation, owner: `start/${runtime.id()}` };
    const expectedRevision = row?.revision ?? 0;
    const write = { key, value: toBytes(value), expectedRevision, position: high };
    if ((await writeRow(how, bucket, write)).written) return high;
  }
}

async function resolve({ log, runtime, consumer, head }: StartDeps): Promise<Position> {
  const { name, from } = consumer;
  if (from === 'beginning') return BEGINNING;
  const end = from === 'now' && head !== undefined ? head : await log.head();
  if (from === 'now') return end;
  if ('position' in from) {
    if (!isAfter(from.position, end)) return from.position;
    throw new NoSuchStart(name, `position ${numberOf(from.position)}, and the log ends at ${numberOf(end)}`);
  }
  if (from.time <= runtime.now()) return positionBefore(log, from.time, 0);
  throw new NoSuchStart(name, `the time ${from.time}, which has not come yet: it is ${runtime.now()}`);
}
