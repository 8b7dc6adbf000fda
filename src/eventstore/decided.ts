import { type BytesAt, type Cursor, isAscii, readVarint } from './lean-decoder.ts';

/** An event as a commit holds it, before it is decoded. */
export interface EventInCommit {
  readonly type: string;
  readonly schemaVersion: number;
  readonly data: BytesAt;
  readonly encryption?: object | undefined;
}

/** What nearly every reader of the log looks at of a decision. */
export interface Decided {
  /** In milliseconds since the Unix epoch. */
  readonly time: number;
  readonly traceparent: string;
  readonly events: readonly EventInCommit[];
}

/** The fields of `Commit`, `Decision` and `Event` as their tags: number * 8, and 2 more where a length follows. */
const COMMIT = { commitId: 0x0a, decisions: 0x12 } as const;
const DECISION = {
  commandId: 0x0a,
  fingerprint: 0x12,
  correlationId: 0x1a,
  causationId: 0x22,
  actor: 0x2a,
  traceparent: 0x32,
  tracestate: 0x3a,
  time: 0x40,
  events: 0x4a,
} as const;
const EVENT = { type: 0x0a, schemaVersion: 0x10, data: 0x1a } as const;

/** A decision or an event that was begun. */
type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

/**
 * What was decided in a commit, read from the bytes of its three kinds of messages without making these: half of what
 * a replay costs otherwise. The ids are checked to be texts, and the commit's to be the one that its header names.
 * @returns undefined for whatever looks odd; the decoder of all messages then says what it is. Never an empty list
 */
export function readDecided(
  bytes: Buffer,
  from: number,
  to: number,
  commitId: string,
): readonly Decided[] | undefined {
  const cursor = { bytes, at: from };
  let decisions: Decided[] | undefined;
  let named = false;
  while (cursor.at < to) {
    const tag = readVarint(cursor, to);
    const end = readEnd(cursor, to);
    if (tag === COMMIT.commitId && holds(bytes, cursor.at, end, commitId)) named = true;
    else if (tag === COMMIT.decisions && end >= 0) {
      const decision = readDecision(cursor, end);
      if (decision === undefined) return undefined;
      if (decisions === undefined) decisions = [decision];
      else decisions.push(decision);
    } else return undefined;
    cursor.at = end;
  }
  return named ? decisions : undefined;
}

const NO_EVENTS: readonly EventInCommit[] = [];

function readDecision(cursor: Cursor, to: number): Decided | undefined {
  const { bytes } = cursor;
  const decision: Writable<Decided> = { time: 0, traceparent: '', events: NO_EVENTS };
  while (cursor.at < to) {
    const tag = readVarint(cursor, to);
    if (tag === DECISION.time) {
      decision.time = readVarint(cursor, to);
      if (decision.time < 0) return undefined;
      continue;
    }
    const end = readEnd(cursor, to);
    if (end < 0) return undefined;
    if (tag === DECISION.events) {
      const event = readEvent(cursor, end);
      if (event === undefined) return undefined;
      decision.events = decision.events.length === 0 ? [event] : [...decision.events, event];
    } else if (!isSound(tag, bytes, cursor.at, end)) return undefined;
    else if (tag === DECISION.traceparent) decision.traceparent = bytes.toString('latin1', cursor.at, end);
    cursor.at = end;
  }
  return decision;
}

/** Whether a field of a decision is bytes, or is text and ASCII. */
function isSound(tag: number, bytes: Buffer, from: number, to: number): boolean {
  switch (tag) {
    case DECISION.fingerprint:
      return true;
    case DECISION.commandId:
    case DECISION.correlationId:
    case DECISION.causationId:
    case DECISION.actor:
    case DECISION.traceparent:
    case DECISION.tracestate:
      return isAscii(bytes, from, to);
    default:
      return false;
  }
}

const NO_DATA: BytesAt = new Uint8Array();

function readEvent(cursor: Cursor, to: number): EventInCommit | undefined {
  const { bytes } = cursor;
  const event: Writable<EventInCommit> = { type: '', schemaVersion: 0, data: NO_DATA };
  while (cursor.at < to) {
    const tag = readVarint(cursor, to);
    if (tag === EVENT.schemaVersion) {
      event.schemaVersion = readVarint(cursor, to);
      if (event.schemaVersion < 0 || event.schemaVersion > 0xffff_ffff) return undefined;
      continue;
    }
    const end = readEnd(cursor, to);
    if (end < 0) return undefined;
    if (tag === EVENT.type) {
      const type = typeOf(bytes, cursor.at, end);
      if (type === undefined) return undefined;
      event.type = type;
    } else if (tag === EVENT.data) {
      event.data = { buffer: bytes.buffer, byteOffset: cursor.at, length: end - cursor.at };
    } else return undefined;
    cursor.at = end;
  }
  return event;
}

/** Where the field that begins with its length ends; -1 when that lies beyond `to`. */
function readEnd(cursor: Cursor, to: number): number {
  const length = readVarint(cursor, to);
  const end = cursor.at + length;
  return length < 0 || end > to ? -1 : end;
}

/** Names of types that were met, by what tells most of them apart. */
const types: string[] = [];
const [PLACES, STEP] = [256, 7];

/** One text for all events of a type: none to be made, and one whose hash is known. */
function typeOf(bytes: Buffer, from: number, to: number): string | undefined {
  const place = ((bytes[from] ?? 0) + STEP * (bytes[to - 1] ?? 0) + STEP * STEP * (to - from)) % PLACES;
  const known = types[place];
  if (known !== undefined && holds(bytes, from, to, known)) return known;
  if (!isAscii(bytes, from, to)) return undefined;
  const type = bytes.toString('latin1', from, to);
  types[place] = type;
  return type;
}

/** Whether a text of ASCII stands there. */
function holds(bytes: Buffer, from: number, to: number, text: string): boolean {
  if (to - from !== text.length) return false;
  for (let i = 0; i < text.length; i++) {
    const byte = bytes[from + i] ?? 0;
    if (byte >= 0x80 || byte !== text.charCodeAt(i)) return false;
  }
  return true;
}
