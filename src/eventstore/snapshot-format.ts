import { createHash } from 'node:crypto';
import { deserialize, serialize } from 'node:v8';
import type { CommandLog, Remembered } from './command-log.ts';
import type { Folded } from './fold.ts';

/** First byte of every snapshot; another one is another format and is ignored. */
const FORMAT = 2;
const CHECKSUM_BYTES = 16;

interface Content {
  readonly incarnation: string;
  readonly state: unknown;
  readonly version: number;
  readonly first: FlatCommand | [];
  /** One behind the other, the oldest first. */
  readonly recent: readonly (string | number)[];
}

/** Id, version, and the fingerprint as Latin-1: the clone of bytes costs a call into JavaScript for each. */
type FlatCommand = [string, number, string];
const FLAT_LENGTH = 3;

/** A snapshot as bytes: format, checksum, and the structured clone of state, version and remembered commands. */
export function sealSnapshot(incarnation: string, folded: Folded<unknown>): Uint8Array {
  const { state, version, commands } = folded;
  const recent: (string | number)[] = [];
  for (const [id, { version: at, fingerprint }] of commands.recent) {
    recent.push(id, at, latin1(fingerprint));
  }
  const { first } = commands;
  const content: Content = {
    incarnation,
    state,
    version,
    first:
      first === undefined ? [] : [first.id, first.remembered.version, latin1(first.remembered.fingerprint)],
    recent,
  };
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
      commands: commandsOf(content),
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

function latin1(bytes: Uint8Array): string {
  if (bytes.length === 0) return '';
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}

function commandsOf({ first: [id, version, fingerprint], recent }: Content): CommandLog {
  const commands = new Map<string, Remembered>();
  for (let i = 0; i < recent.length; i += FLAT_LENGTH) {
    commands.set(String(recent[i]), rememberedOf(Number(recent[i + 1]), String(recent[i + 2])));
  }
  const first =
    id === undefined ? undefined : { id, remembered: rememberedOf(version ?? 0, fingerprint ?? '') };
  return { first, recent: commands };
}

function rememberedOf(version: number, fingerprint: string): Remembered {
  return {
    version,
    fingerprint: fingerprint === '' ? NO_BYTES : new Uint8Array(Buffer.from(fingerprint, 'latin1')),
  };
}

const NO_BYTES = new Uint8Array();
