import {
  type Commit,
  CommitSchema,
  type Decision,
  type Encryption,
  type Event,
  type Sealed,
} from '../../gen/jetledger/eventstore/v1/commit_pb.ts';
import type { CommandMeta } from '../command.ts';
import { CorruptCommit } from '../errors.ts';
import type { ForeignMessage, RecordedCommit } from '../log.ts';
import { FIELDS_V1 } from '../personal/cipher.ts';
import type { SealedAt } from '../personal/seal-event.ts';
import type { Position } from '../position.ts';
import { type StreamRef, streamOfSubject } from '../stream.ts';
import { type BytesAt, type Cursor, decoderOf, isAscii, readVarint, wholeBuffer } from './event-decoder.ts';
import { encoderOf } from './event-encoder.ts';
import { storedMetadata } from './metadata.ts';

// Messages of the envelope as plain objects: what `create` makes of the same fields, at a tenth of its time. A test
// holds them to that.

const NO_FINGERPRINT = new Uint8Array();

/** What is appended at once, under an id of its own. */
export function commitOf(commitId: string, decisions: readonly Decision[]): Commit {
  return { $typeName: 'jetledger.eventstore.v1.Commit', commitId, decisions: [...decisions] };
}

/** What a command came to. @param now milliseconds since the Unix epoch @throws EventStoreError `command/metadata` */
export function decisionOf(meta: CommandMeta, events: Event[], now: number): Decision {
  const { commandId, fingerprint } = meta;
  return {
    $typeName: 'jetledger.eventstore.v1.Decision',
    commandId,
    // A plain copy: what is remembered now equals what is read from the log later, also for a Buffer.
    fingerprint: fingerprint === undefined ? NO_FINGERPRINT : new Uint8Array(fingerprint),
    correlationId: meta.correlationId ?? commandId,
    causationId: meta.causationId ?? '',
    actor: meta.actor,
    traceparent: meta.traceparent ?? '',
    tracestate: meta.tracestate ?? '',
    time: BigInt(now),
    events,
    metadata: storedMetadata(meta.metadata),
  };
}

/** An event as it is stored: its short type, the version of its schema, its bytes, and what of it is sealed. */
export function storedEventOf(
  type: string,
  schemaVersion: number,
  data: Uint8Array,
  sealed: Sealed[] = [],
): Event {
  const event: Event = { $typeName: 'jetledger.eventstore.v1.Event', type, schemaVersion, data, sealed };
  if (sealed.length > 0) event.encryption = encryptionOf(FIELDS_V1);
  return event;
}

function encryptionOf(algorithm: string): Encryption {
  return { $typeName: 'jetledger.eventstore.v1.Encryption', keyId: '', algorithm };
}

/** The bytes of a commit. */
export const encodeCommit = encoderOf(CommitSchema);

/** An event as a commit holds it, before it is decoded. */
export interface EventInCommit {
  readonly type: string;
  readonly schemaVersion: number;
  readonly data: BytesAt;
  readonly encryption?: { readonly algorithm: string } | undefined;
  /** Its personal texts, where they are sealed. */
  readonly sealed: readonly SealedAt[];
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
  metadata: 0x52,
} as const;
const METADATA = { key: 0x0a, value: 0x12 } as const;
const EVENT = { type: 0x0a, schemaVersion: 0x10, data: 0x1a, encryption: 0x22, sealed: 0x2a } as const;
const ENCRYPTION = { keyId: 0x0a, algorithm: 0x12 } as const;
const SEALED = { field: 0x08, person: 0x12, key: 0x18, sealed: 0x22, within: 0x2a } as const;

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
    case DECISION.metadata:
      return isMetadata({ bytes, at: from }, to);
    default:
      return false;
  }
}

/** Whether a pair of ASCII texts stands there. */
function isMetadata(cursor: Cursor, to: number): boolean {
  while (cursor.at < to) {
    const tag = readVarint(cursor, to);
    const end = readEnd(cursor, to);
    if (end < 0 || (tag !== METADATA.key && tag !== METADATA.value)) return false;
    if (!isAscii(cursor.bytes, cursor.at, end)) return false;
    cursor.at = end;
  }
  return true;
}

const NO_DATA: BytesAt = new Uint8Array();
const NOTHING_SEALED: readonly SealedAt[] = [];

function readEvent(cursor: Cursor, to: number): EventInCommit | undefined {
  const { bytes } = cursor;
  const event: Writable<EventInCommit> = {
    type: '',
    schemaVersion: 0,
    data: NO_DATA,
    encryption: undefined,
    sealed: NOTHING_SEALED,
  };
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
    } else if (!readEncrypted(event, tag, cursor, end)) return undefined;
    cursor.at = end;
  }
  return event;
}

/** Reads what only encrypted events have; false for anything else. */
function readEncrypted(event: Writable<EventInCommit>, tag: number, cursor: Cursor, to: number): boolean {
  if (tag === EVENT.sealed) {
    const sealed = readSealed(cursor, to);
    if (sealed !== undefined) event.sealed = [...event.sealed, sealed];
    return sealed !== undefined;
  }
  if (tag !== EVENT.encryption || event.encryption !== undefined) return false;
  event.encryption = readEncryption(cursor, to);
  return event.encryption !== undefined;
}

function readEncryption(cursor: Cursor, to: number): EventInCommit['encryption'] {
  let algorithm = '';
  while (cursor.at < to) {
    const tag = readVarint(cursor, to);
    const end = readEnd(cursor, to);
    if (end < 0 || (tag !== ENCRYPTION.keyId && tag !== ENCRYPTION.algorithm)) return undefined;
    const text = typeOf(cursor.bytes, cursor.at, end);
    if (text === undefined) return undefined;
    if (tag === ENCRYPTION.algorithm) algorithm = text;
    cursor.at = end;
  }
  return { algorithm };
}

function readSealed(cursor: Cursor, to: number): SealedAt | undefined {
  const sealed: Writable<SealedAt> = { field: 0, person: '', key: 0, sealed: NO_DATA, within: '' };
  while (cursor.at < to) {
    const tag = readVarint(cursor, to);
    const number = readVarint(cursor, to);
    if (number < 0) return undefined;
    if (tag === SEALED.field || tag === SEALED.key) {
      if (number > 0xffff_ffff) return undefined;
      sealed[tag === SEALED.field ? 'field' : 'key'] = number;
      continue;
    }
    const end = cursor.at + number;
    if (end > to) return undefined;
    if (!readSealedContent(sealed, tag, cursor, end)) return undefined;
    cursor.at = end;
  }
  return sealed;
}

/** Reads what has a length; false when it is not for this decoder. */
function readSealedContent(sealed: Writable<SealedAt>, tag: number, cursor: Cursor, end: number): boolean {
  const { bytes, at } = cursor;
  if (tag === SEALED.sealed) {
    sealed.sealed = { buffer: bytes.buffer, byteOffset: at, length: end - at };
    return true;
  }
  const isText = (tag === SEALED.person || tag === SEALED.within) && isAscii(bytes, at, end);
  if (isText) sealed[tag === SEALED.person ? 'person' : 'within'] = bytes.toString('latin1', at, end);
  return isText;
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

/** A message of the log as it was stored. */
export interface StoredCommit {
  readonly subject: string;
  /** Sequence in the log. */
  readonly position: Position;
  /** The aggregate's version before it: the expectation that it was stored with; undefined when it was stored without. */
  readonly previous: number | undefined;
  readonly bytes: Uint8Array;
  /** From the message's header; without it the id is decoded from the bytes. */
  readonly commitId?: string | undefined;
  /** Whether it has any header of ours: then damaged bytes are a damaged commit, and not a foreign message. */
  readonly isOurs?: boolean;
}

/**
 * A commit that decodes its bytes when they are first looked at, so that a reader pays only for what it folds.
 * `decisions` (and `commitId` without a header) throw CorruptCommit, naming subject and position, unless it is foreign.
 */
export function recordedCommit(stored: StoredCommit): RecordedCommit {
  return new LazyCommit(stored);
}

/**
 * What was decided, when and in which trace, without the ids, which are half of what decoding a commit costs. The
 * commit does not hold on to it: a reader may keep commits at hand longer than it needs what is in them.
 * @throws CorruptCommit
 */
export function decidedIn(commit: RecordedCommit): readonly Decided[] {
  return commit instanceof LazyCommit ? commit.decided() : commit.decisions.map(decidedOf);
}

/** How many bytes of the log a commit takes, so far as it was read from there: for whoever keeps some. */
export function bytesOf(commit: RecordedCommit): number {
  return commit instanceof LazyCommit ? commit.bytes : 0;
}

const decodeEnvelope = decoderOf(CommitSchema);

function decidedOf({ time, traceparent, events }: Decision): Decided {
  return { time: Number(time), traceparent, events };
}

/** A class, because its accessors are shared: a replay makes 250,000 of these a second. */
class LazyCommit implements RecordedCommit {
  readonly position: Position;
  readonly previous: number | undefined;
  readonly #stored: StoredCommit;
  #stream: StreamRef | undefined;
  #commit: Commit | undefined;

  constructor(stored: StoredCommit) {
    this.position = stored.position;
    this.previous = stored.previous;
    this.#stored = stored;
  }

  get stream(): StreamRef {
    this.#stream ??= streamOfSubject(this.#stored.subject);
    return this.#stream;
  }

  get commitId(): string {
    return this.#stored.commitId || this.#decoded().commitId;
  }

  get foreign(): ForeignMessage | undefined {
    const { commitId, isOurs, subject, bytes } = this.#stored;
    if (commitId || isOurs || this.#decoded() !== NOTHING) return undefined;
    return { subject, bytes: bytes.length };
  }

  get decisions(): readonly Decision[] {
    return this.#decoded().decisions;
  }

  get bytes(): number {
    return this.#stored.bytes.length;
  }

  decided(): readonly Decided[] {
    const { bytes, commitId } = this.#stored;
    const from = bytes.byteOffset;
    const read = commitId && readDecided(wholeBuffer(bytes), from, from + bytes.length, commitId);
    return read || this.#decoded().decisions.map(decidedOf);
  }

  #decoded(): Commit {
    this.#commit ??= checked(this.#stored);
    return this.#commit;
  }
}

/** What a foreign message says: no commit of ours is so empty. */
const NOTHING = commitOf('', []);

function checked(stored: StoredCommit): Commit {
  const { subject, position, bytes, commitId, isOurs } = stored;
  const isForeign = !commitId && !isOurs;
  let commit: Commit;
  try {
    commit = decodeEnvelope(bytes);
  } catch (cause) {
    if (isForeign) return NOTHING;
    throw new CorruptCommit(subject, position, cause);
  }
  if (commit.commitId === '' || commit.decisions.length === 0) {
    if (isForeign) return NOTHING;
    throw new CorruptCommit(subject, position, new Error('no commit id or no decision'));
  }
  if (commitId && commitId !== commit.commitId) {
    throw new CorruptCommit(subject, position, new Error(`its header names the commit ${commitId}`));
  }
  return commit;
}
