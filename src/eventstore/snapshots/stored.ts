import { deserialize, serialize } from 'node:v8';
import { crc32 } from 'node:zlib';
import { commandLogOf, recordsOf } from '../command-log.ts';
import type { AnyDecider } from '../decider.ts';
import { type Folded, foldVersionOf } from '../fold.ts';
import type { StreamRef } from '../stream.ts';

/** Where snapshots are kept. A cache: it may lose, forget or refuse anything. */
export interface SnapshotStore {
  get(key: string): Promise<Uint8Array | undefined>;
  /** The last write wins; an older snapshot over a newer one costs time and never truth. Need not wait for the store. */
  put(key: string, value: Uint8Array): Promise<void>;
  /** Resolves when everything that was put has reached the store, where `put` does not wait for that; bounded. */
  flush?(): Promise<void>;
}

/** Under which key an aggregate's snapshot is kept: another fold never meets it. */
export function snapshotKey(decider: AnyDecider, stream: StreamRef): string {
  return `${stream.category}.${foldVersionOf(decider)}.${stream.id}`;
}

/** First byte of every snapshot; another one is another format and is ignored. */
const FORMAT = 3;
const [CHECKSUM_AT, LENGTH_AT, CONTENT_AT] = [1, 5, 9];
/** Larger ones are not written at all. */
export const MAX_BYTES = 512 * 1024;

/** Incarnation of the log, state, version, how many commands there were in all, and the generation of stored sections. */
type Content = readonly [string, unknown, number, number, number?];

/**
 * A snapshot as bytes: format, checksum against damage, length of what follows, the structured clone of everything but
 * the remembered commands, and their records as they are in memory.
 */
export function sealSnapshot(incarnation: string, folded: Folded<unknown>): Uint8Array {
  const { state, version, commands, sectionsStored } = folded;
  const content: Content = [
    incarnation,
    state,
    version,
    commands.count,
    ...(sectionsStored === undefined ? ([] as const) : ([sectionsStored] as const)),
  ];
  const clone = serialize(content);
  const [firsts, rests] = recordsOf(commands);
  const recordsAt = CONTENT_AT + clone.length;
  const bytes = Buffer.allocUnsafeSlow(recordsAt + firsts.length + rests.length);
  bytes[0] = FORMAT;
  bytes.writeUInt32LE(clone.length, LENGTH_AT);
  bytes.set(clone, CONTENT_AT);
  bytes.set(firsts, recordsAt);
  bytes.set(rests, recordsAt + firsts.length);
  bytes.writeUInt32LE(crc32(bytes.subarray(LENGTH_AT)), CHECKSUM_AT);
  return bytes;
}

/** The snapshot in the bytes; `undefined` when they are damaged, of another format, or of another incarnation. */
export function openSnapshot<State>(incarnation: string, bytes: Uint8Array): Folded<State> | undefined {
  if (bytes.length < CONTENT_AT || bytes[0] !== FORMAT) return undefined;
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (crc32(view.subarray(LENGTH_AT)) !== view.readUInt32LE(CHECKSUM_AT)) return undefined;
  const clonedTo = CONTENT_AT + view.readUInt32LE(LENGTH_AT);
  try {
    const [of, state, version, count, sectionsStored] = deserialize(
      view.subarray(CONTENT_AT, clonedTo),
    ) as Content;
    const commands = commandLogOf(count, view.subarray(clonedTo));
    if (of !== incarnation || commands === undefined) return undefined;
    // The key names the fold that made it, so the state has that fold's type.
    const folded: Folded<State> = { state: state as State, version, commands, confirmedAt: 0 };
    return sectionsStored === undefined ? folded : { ...folded, sectionsStored };
  } catch {
    // Written by a newer Node.js than this one can read.
    return undefined;
  }
}
