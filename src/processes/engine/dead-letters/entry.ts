import type { Message } from '@bufbuild/protobuf';
import {
  codecOf,
  type EventSource,
  numberOf,
  type Position,
  positionOf,
  type RecordedCommit,
  type Row,
  type StoredTrace,
  type StreamRef,
  shownEvent,
  slotOf,
} from '../../../eventstore/index.ts';

import type { Reaction } from '../reaction.ts';
import { parseRow } from '../rows.ts';

/** What an operator asks for. */
export interface DeadLetterRequest {
  readonly requested: 'redrive' | 'discard';
  readonly by: string;
  /** Milliseconds since the Unix epoch. */
  readonly at: number;
  /** Which request of an operator it belongs to, where several were marked by one. */
  readonly id?: string | undefined;
  /** Why it is given up. */
  readonly reason?: string | undefined;
  /** Of the request itself; the next try links to it. */
  readonly trace?: StoredTrace | undefined;
}

/** An event of a dead letter, for people; what is handled again is read from the log. */
export interface DeadLetterEvent {
  readonly type: string;
  readonly schemaVersion: number;
  /** As JSON where this version can read it and it is not too large; else what it says instead. */
  readonly payload: unknown;
}

export interface DeadLetterError {
  readonly name: string;
  readonly message: string;
  readonly stack: string;
}

/** A commit that a consumer could not handle, or that waits behind one. Times in milliseconds since the Unix epoch. */
export interface DeadLetter {
  readonly consumer: string;
  readonly category: string;
  readonly id: string;
  readonly position: Position;
  readonly commitId: string;
  /** True when it was never tried: an earlier commit of its aggregate is a dead letter, or was when this one came. */
  readonly behind: boolean;
  readonly events: readonly DeadLetterEvent[];
  readonly error: DeadLetterError | undefined;
  readonly attempts: number;
  readonly firstAt: number;
  readonly lastAt: number;
  /** Of the decision that made it; empty when there was none. */
  readonly traceId: string;
  readonly request?: DeadLetterRequest | undefined;
  /** The request by which it was tried last, and failed again. */
  readonly lastRequest?: string | undefined;
  /** Unique per write, so that an unanswered one can be recognised. */
  readonly write: string;
}

const DIGITS = 16;
const AUDIT = 'discarded';
const FENCE = 'fence';

/** `<consumer>.<slot>.<category>.<id>.<position>`, the slot with two digits and the position with sixteen. */
export function entryKey(consumer: string, { category, id }: StreamRef, position: Position): string {
  const slot = String(slotOf(id)).padStart(2, '0');
  return `${consumer}.${slot}.${category}.${id}.${String(numberOf(position)).padStart(DIGITS, '0')}`;
}

/** Where the discarded entry of a key is remembered; the position in the bucket's history makes no difference. */
export function auditKey(consumer: string, stream: StreamRef, position: Position): string {
  return entryKey(consumer, stream, position).replace('.', `.${AUDIT}.`);
}

/** The fence of a group; never the key of an entry. */
export function fenceKey(
  consumer: string,
  group: { readonly count: number; readonly index: number },
): string {
  return `${consumer}.${FENCE}.${group.count}.${group.index}`;
}

/** Whose entry a key is; undefined for a fence or an audit row. */
export function parseEntryKey(
  key: string,
): { readonly consumer: string; readonly stream: StreamRef; readonly position: Position } | undefined {
  const [consumer, slot, category, id, position, ...rest] = key.split('.');
  if (!consumer || !category || !id || !position || rest.length > 0 || !/^\d\d$/.test(slot ?? '')) {
    return undefined;
  }
  return { consumer, stream: { category, id }, position: positionOf(Number(position)) };
}

/** The entry of a row; undefined for anything else. */
export function entryOf(row: Row | undefined): DeadLetter | undefined {
  return row === undefined || parseEntryKey(row.key) === undefined ? undefined : parseRow<DeadLetter>(row);
}

/** The entry that an audit row remembers; undefined for anything else. */
export function auditOf(row: Row): DeadLetter | undefined {
  const key = row.key.replace(`.${AUDIT}.`, '.');
  return key === row.key || parseEntryKey(key) === undefined ? undefined : parseRow<DeadLetter>(row);
}

/** Longest payload and stack that an entry carries, in characters: a dead letter must fit into a message itself. */
const PAYLOAD_CHARS = 16_384;
const TEXT_CHARS = 4_096;
const MAX_EVENTS = 20;

/** Why a commit is a dead letter. */
export interface DeadLetterReason {
  readonly behind: boolean;
  readonly error: unknown;
  readonly attempts: number;
  /** First and last try, in milliseconds since the Unix epoch. */
  readonly firstAt: number;
  readonly lastAt: number;
  /** Unique. */
  readonly write: string;
}

/** A commit as an entry for people. Never throws: what cannot be read says so. */
export function describeDeadLetter(
  consumer: Reaction,
  commit: RecordedCommit,
  reason: DeadLetterReason,
): DeadLetter {
  const { category, id } = commit.stream;
  const named = { consumer: consumer.name, category, id, position: commit.position };
  const { error, ...rest } = reason;
  return {
    ...named,
    ...readable(consumer, commit),
    ...rest,
    error: error === undefined ? undefined : describeError(error),
  };
}

/** Anything that was thrown, cut to a length that fits. */
export function describeError(error: unknown): DeadLetterError {
  const known = error instanceof Error ? error : new Error(String(error));
  const cut = (text: string): string => text.slice(0, TEXT_CHARS);
  return { name: cut(known.name), message: cut(known.message), stack: cut(known.stack ?? '') };
}

function readable(
  consumer: Reaction,
  commit: RecordedCommit,
): Pick<DeadLetter, 'commitId' | 'events' | 'traceId'> {
  try {
    const source = consumer.sources.find(({ category }) => category === commit.stream.category);
    const [first] = commit.decisions;
    const events = commit.decisions
      .flatMap((decision) => decision.events)
      .slice(0, MAX_EVENTS)
      .map((stored): DeadLetterEvent => {
        const { type, schemaVersion } = stored;
        return { type, schemaVersion, payload: payloadOf(source, stored, commit.stream.id) };
      });
    return { commitId: commit.commitId, events, traceId: first?.traceparent.split('-')[1] ?? '' };
  } catch (error) {
    const payload = `unreadable: ${describeError(error).message}`;
    return { commitId: '', events: [{ type: '?', schemaVersion: 0, payload }], traceId: '' };
  }
}

function payloadOf(
  source: EventSource | undefined,
  stored: RecordedCommit['decisions'][number]['events'][number],
  id: string,
): unknown {
  if (source === undefined) return 'not of this consumer';
  try {
    const event = codecOf<Message>(source).decode(stored, id);
    const schema = source.events.find(({ typeName }) => typeName === event.$typeName);
    if (schema === undefined) return 'of an unknown type';
    const payload = shownEvent(schema, event);
    const length = JSON.stringify(payload).length;
    return length > PAYLOAD_CHARS ? `too large to keep here: ${length} characters` : payload;
  } catch (error) {
    return `unreadable: ${describeError(error).message}`;
  }
}
