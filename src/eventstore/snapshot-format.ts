import { createHash } from 'node:crypto';
import { deserialize, serialize } from 'node:v8';
import type { Folded } from './fold.ts';

/** First byte of every snapshot; another one is another format and is ignored. */
const FORMAT = 1;
const CHECKSUM_BYTES = 16;

interface Content {
  readonly incarnation: string;
  readonly state: unknown;
  readonly version: number;
  readonly commands: Folded<unknown>['commands'];
}

/** A snapshot as bytes: format, checksum, and the structured clone of state, version and remembered commands. */
export function sealSnapshot(incarnation: string, folded: Folded<unknown>): Uint8Array {
  const { state, version, commands } = folded;
  const content: Content = { incarnation, state, version, commands };
  const body = serialize(content);
  return Buffer.concat([Buffer.from([FORMAT]), checksum(body), body]);
}

/** The snapshot in the bytes; `undefined` when they are damaged, of another format, or of another life of the log. */
export function openSnapshot<State>(incarnation: string, bytes: Uint8Array): Folded<State> | undefined {
  const body = bytes.subarray(1 + CHECKSUM_BYTES);
  if (bytes[0] !== FORMAT || !checksum(body).equals(bytes.subarray(1, 1 + CHECKSUM_BYTES))) return undefined;
  try {
    const content = deserialize(body) as Content;
    if (content.incarnation !== incarnation) return undefined;
    // The key names the fold that made it, so the state has that fold's type.
    return {
      state: content.state as State,
      version: content.version,
      commands: content.commands,
      confirmedAt: 0,
    };
  } catch {
    // Written by a newer Node.js than this one can read.
    return undefined;
  }
}

function checksum(body: Uint8Array): Buffer {
  return createHash('sha256').update(body).digest().subarray(0, CHECKSUM_BYTES);
}
