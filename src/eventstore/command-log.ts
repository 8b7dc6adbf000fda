import { hash } from 'node:crypto';
import type { Decision } from '../gen/jetledger/eventstore/v1/commit_pb.ts';
import type { CommandMeta } from './command.ts';

/** How many commands of an existing aggregate are remembered; its first command is remembered for ever. */
export const REMEMBERED_COMMANDS = 256;

/**
 * The commands that made an aggregate what it is: folded state, so it holds after a restart and on any process.
 * Flat, because a cache holds a hundred thousand of these and a snapshot is read and written with every cold command:
 * as objects, a command costs ten times the memory and a snapshot most of its time.
 */
export interface CommandLog {
  /** How many commands were remembered in all, those that were forgotten since included. */
  count: number;
  /**
   * A record for each: the first command, behind it a ring of the last ones. The first word of all records stands before
   * the others, so that looking for one reads a sixteenth of the memory. Room that is not used yet is zero.
   */
  words: Uint32Array<ArrayBuffer>;
}

/** Of an aggregate that does not exist. */
export function emptyCommandLog(): CommandLog {
  return { count: 0, words: NO_WORDS };
}

/** A record in words of 32 bits: 4 name the command, 2 its content, 2 hold the version. All but the first are its rest. */
const RECORD = 8;
const REST = RECORD - 1;
const [CONTENT, VERSION] = [3, 5];
const NAME = 4;
const WORD_BYTES = Uint32Array.BYTES_PER_ELEMENT;
const WORD = 2 ** 32;
const NO_WORDS = new Uint32Array();
const MOST_RECORDS = 1 + REMEMBERED_COMMANDS;
/** Room grows in few steps; the first one is what V8 keeps in the object itself. */
const ROOMS = [2, 8, 32, 128, MOST_RECORDS];

// One for all: what is looked up or remembered is named here first, in one go.
const name = new Uint32Array(NAME);

/** Remembers a stored decision, in place. */
export function rememberCommand(log: CommandLog, decision: Decision, version: number): void {
  const index = log.count === 0 ? 0 : 1 + ((log.count - 1) % REMEMBERED_COMMANDS);
  log.count++;
  const room = roomFor(log.count);
  if (roomOf(log.words) < room) log.words = withRoom(log.words, room);
  const { words } = log;
  nameOf(decision.commandId);
  words[index] = name[0] ?? 0;
  const at = room + index * REST;
  for (let i = 1; i < NAME; i++) words[at + i - 1] = name[i] ?? 0;
  const content = contentOf(decision.fingerprint);
  words[at + CONTENT] = content[0];
  words[at + CONTENT + 1] = content[1];
  words[at + VERSION] = version % WORD;
  words[at + VERSION + 1] = Math.floor(version / WORD);
}

/** Where a command id was stored, and whether it was the same command. Without a fingerprint the id alone decides. */
export function recallCommand(
  log: CommandLog,
  id: string,
  fingerprint: Uint8Array | undefined,
): { version: number; same: boolean } | undefined {
  if (log.count === 0) return undefined;
  nameOf(id);
  const { words } = log;
  const first = name[0];
  const used = usedRecords(log.count);
  for (let index = 0; index < used; index++) {
    if (words[index] !== first) continue;
    const at = roomOf(words) + index * REST;
    if (!isNamed(words, at)) continue;
    return { version: versionIn(words, at), same: agrees(words, at, fingerprint) };
  }
  return undefined;
}

/** The version that the first command made; 0 where there was none. */
export function firstVersion({ words }: CommandLog): number {
  return versionIn(words, roomOf(words));
}

/** As `recallCommand`, for a command that may be stored under its former id or digest; says which id it was. */
export function recallAsked(
  log: CommandLog,
  meta: Identity,
): { id: string; version: number; same: boolean } | undefined {
  const { commandId, formerId } = meta;
  const stored = recallEither(log, commandId, meta);
  if (stored !== undefined) return { id: commandId, ...stored };
  const former = formerId === undefined ? undefined : recallEither(log, formerId, meta);
  return former && formerId !== undefined ? { id: formerId, ...former } : undefined;
}

/** What a command is looked for by. */
export type Identity = Pick<CommandMeta, 'commandId' | 'formerId' | 'fingerprint' | 'formerFingerprint'>;

function recallEither(log: CommandLog, id: string, { fingerprint, formerFingerprint }: Identity) {
  const stored = recallCommand(log, id, fingerprint);
  return stored?.same !== false || formerFingerprint === undefined
    ? stored
    : recallCommand(log, id, formerFingerprint);
}

/** The records of a log, to be kept elsewhere: two parts, one behind the other. Views, which the next command may change. */
export function recordsOf(log: CommandLog): readonly [Uint8Array, Uint8Array] {
  const used = usedRecords(log.count);
  const { buffer } = log.words;
  return [
    new Uint8Array(buffer, 0, used * WORD_BYTES),
    new Uint8Array(buffer, roomOf(log.words) * WORD_BYTES, used * REST * WORD_BYTES),
  ];
}

/** The log of which `recordsOf` gave the records. @returns nothing when they do not fit the count */
export function commandLogOf(count: number, records: Uint8Array): CommandLog | undefined {
  if (records.length !== usedRecords(count) * RECORD * WORD_BYTES) return undefined;
  const log: CommandLog = { count, words: withRoom(NO_WORDS, roomFor(count)) };
  const [firsts, rests] = recordsOf(log);
  firsts.set(records.subarray(0, firsts.length));
  rests.set(records.subarray(firsts.length));
  return log;
}

/** Whether two digests of a command agree; an absent or empty one agrees with any. */
export function sameFingerprint(stored: Uint8Array, given: Uint8Array | undefined): boolean {
  if (given === undefined || given.length === 0 || stored.length === 0) return true;
  return stored.length === given.length && stored.every((byte, i) => byte === given[i]);
}

const usedRecords = (count: number): number => Math.min(count, MOST_RECORDS);
const roomOf = (words: Uint32Array): number => words.length / RECORD;

/** The same for the same count, however it came about: two logs are compared word by word. */
function roomFor(count: number): number {
  if (count === 0) return 0;
  for (const room of ROOMS) if (room >= count) return room;
  return MOST_RECORDS;
}

function withRoom(words: Uint32Array<ArrayBuffer>, room: number): Uint32Array<ArrayBuffer> {
  if (room === 0) return NO_WORDS;
  const larger = new Uint32Array(room * RECORD);
  larger.set(words.subarray(0, roomOf(words)));
  larger.set(words.subarray(roomOf(words)), room);
  return larger;
}

/** @param at where the rest of its record begins */
function versionIn(words: Uint32Array, at: number): number {
  return (words[at + VERSION] ?? 0) + (words[at + VERSION + 1] ?? 0) * WORD;
}

/** @param at where the rest of its record begins */
function isNamed(words: Uint32Array, at: number): boolean {
  return words[at] === name[1] && words[at + 1] === name[2] && words[at + 2] === name[3];
}

function agrees(words: Uint32Array, at: number, fingerprint: Uint8Array | undefined): boolean {
  const [a, b] = [words[at + CONTENT], words[at + CONTENT + 1]];
  if (fingerprint === undefined || fingerprint.length === 0 || (a === 0 && b === 0)) return true;
  const content = contentOf(fingerprint);
  return content[0] === a && content[1] === b;
}

/** Names a command id: the bits of a UUID, or the first 128 of the SHA-256 of any other text. */
function nameOf(id: string): void {
  if (id.length === UUID_LENGTH && nameOfUuid(id)) return;
  const digest = hash('sha256', id, 'buffer');
  for (let i = 0; i < NAME; i++) name[i] = digest.readUInt32LE(i * WORD_BYTES);
}

const UUID_LENGTH = 36;
const [DASH, ZERO, NINE, LOWER_A, LOWER_F] = [45, 48, 57, 97, 102];

/** False unless it is written as every library writes one; another spelling is another id. */
function nameOfUuid(id: string): boolean {
  let word = 0;
  let digits = 0;
  for (let i = 0; i < UUID_LENGTH; i++) {
    const code = id.charCodeAt(i);
    if (i === 8 || i === 13 || i === 18 || i === 23) {
      if (code !== DASH) return false;
      continue;
    }
    const isDigit = code >= ZERO && code <= NINE;
    if (!isDigit && (code < LOWER_A || code > LOWER_F)) return false;
    word = (word << 4) | (isDigit ? code - ZERO : code - LOWER_A + 10);
    if (++digits % 8 === 0) name[digits / 8 - 1] = word;
  }
  return true;
}

const NO_CONTENT: readonly [number, number] = [0, 0];
/** Lengths of digests, of which each part is as good as another. */
const DIGEST_LENGTHS: readonly number[] = [16, 20, 32, 64];

/** 64 bits of a fingerprint; zero stands for none. */
function contentOf(fingerprint: Uint8Array): readonly [number, number] {
  if (fingerprint.length === 0) return NO_CONTENT;
  const digest = DIGEST_LENGTHS.includes(fingerprint.length)
    ? fingerprint
    : hash('sha256', fingerprint, 'buffer');
  return [wordAt(digest, 0), wordAt(digest, WORD_BYTES)];
}

function wordAt(bytes: Uint8Array, at: number): number {
  const [a = 0, b = 0, c = 0, d = 0] = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
  return (a | (b << 8) | (c << 16) | (d << 24)) >>> 0;
}
