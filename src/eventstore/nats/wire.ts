import type { Msg, MsgHdrs } from '@nats-io/transport-node';
import type { Commit } from '../../gen/jetledger/eventstore/v1/commit_pb.ts';
import { recordedCommit } from '../codec/stored-commit.ts';
import type { RecordedCommit } from '../log.ts';
import { type Position, positionAt } from '../position.ts';
import { activeTrace, type StoredTrace, storedTraceOf } from '../trace-context.ts';
import type { StoredMessage } from './gets.ts';
import { headerLine, type MessageHeaders, writeHeaders } from './message.ts';

/** Header names. Those of JetLedger are stored for ever. @internal */
export const HEADER = {
  expectedSubjectSequence: 'Nats-Expected-Last-Subject-Sequence',
  expectedSubject: 'Nats-Expected-Last-Subject-Sequence-Subject',
  commitId: 'Jl-Commit',
  eventTypes: 'Jl-Types',
  position: 'Jl-Position',
  contentType: 'Content-Type',
  traceparent: 'traceparent',
  tracestate: 'tracestate',
  kvOperation: 'KV-Operation',
} as const;

const CONTENT_TYPE = 'application/protobuf';

/** What a tool or a consumer needs to know of a commit without decoding it, and the fence of the append. */
export function commitHeaders(commit: Commit, expected: number): MessageHeaders {
  let lines =
    headerLine(HEADER.expectedSubjectSequence, String(expected)) +
    headerLine(HEADER.commitId, commit.commitId) +
    headerLine(HEADER.eventTypes, eventTypes(commit)) +
    headerLine(HEADER.contentType, CONTENT_TYPE);
  const first = commit.decisions[0];
  if (first !== undefined && first.traceparent !== '') {
    lines += headerLine(HEADER.traceparent, first.traceparent);
    if (first.tracestate !== '') lines += headerLine(HEADER.tracestate, first.tracestate);
  }
  return writeHeaders(lines);
}

/** The fence of a guard: a version of another subject than the message's own. Exact, since wildcards are no fence. */
export function guardHeaders(subject: string, version: number): MessageHeaders {
  return writeHeaders(
    headerLine(HEADER.expectedSubjectSequence, String(version)) + headerLine(HEADER.expectedSubject, subject),
  );
}

/** Each type once, in the order of its first event. */
function eventTypes({ decisions }: Commit): string {
  const [decision] = decisions;
  const [event] = decision?.events ?? [];
  if (event !== undefined && decisions.length === 1 && decision?.events.length === 1) return event.type;
  return [...new Set(decisions.flatMap((each) => each.events.map(({ type }) => type)))].join(',');
}

/** The id of a stored commit, from its header where it has one. */
export function commitIdOf({ subject, seq, headers, data }: StoredMessage): string {
  return commitOf(subject, positionAt(seq), headers, data).commitId;
}

/** A stored message of the log as a commit; its bytes are decoded when they are looked at. */
export function commitOf(
  subject: string,
  position: Position,
  hdrs: MsgHdrs | undefined,
  bytes: Uint8Array,
): RecordedCommit {
  const previous = hdrs?.get(HEADER.expectedSubjectSequence) || undefined;
  const commitId = hdrs?.get(HEADER.commitId) || undefined;
  return recordedCommit({
    subject,
    position,
    previous: previous === undefined ? undefined : Number(previous),
    commitId,
    isOurs: commitId !== undefined || Boolean(hdrs?.get(HEADER.eventTypes)),
    bytes,
  });
}

/** A server's answer to a publish into a stream. */
export type PublishAck =
  | { readonly seq: number; readonly error?: undefined }
  | {
      readonly seq?: undefined;
      readonly error: { readonly code: number; readonly errCode: number; readonly description: string };
    };

/** @throws SyntaxError when the reply is not one of JetStream's @internal */
export function parseAck(msg: Pick<Msg, 'data'>): PublishAck {
  const seq = plainSequence(msg.data);
  if (seq !== undefined) return { seq };
  return parseAnyAck(new TextDecoder().decode(msg.data));
}

/** An answer to a publish, read as the JSON that it is. @throws SyntaxError */
export function parseAnyAck(json: string): PublishAck {
  const ack = JSON.parse(json) as {
    seq?: number;
    error?: { code?: number; err_code?: number; description?: string };
  };
  if (ack.error === undefined && typeof ack.seq === 'number') return { seq: ack.seq };
  const { code = 500, err_code: errCode = 0, description = 'no sequence in the answer' } = ack.error ?? {};
  return { error: { code, errCode, description } };
}

const PLAIN_START = Buffer.from('{"stream":"');
const PLAIN_MIDDLE = Buffer.from('","seq":');
const [QUOTE, ZERO, NINE, CLOSE] = [34, 48, 57, 125];

/** The sequence of the answer that nearly every append gets, `{"stream":"<name>","seq":<n>}`; of any other nothing. */
function plainSequence(data: Uint8Array): number | undefined {
  if (!holdsAt(data, 0, PLAIN_START)) return undefined;
  // Names of streams hold no quotes.
  const nameEnd = data.indexOf(QUOTE, PLAIN_START.length);
  if (nameEnd < 0 || !holdsAt(data, nameEnd, PLAIN_MIDDLE)) return undefined;
  let seq = 0;
  const start = nameEnd + PLAIN_MIDDLE.length;
  for (let at = start; at < data.length; at++) {
    const byte = data[at] ?? 0;
    if (byte === CLOSE && at === data.length - 1 && at > start) return seq;
    if (byte < ZERO || byte > NINE) return undefined;
    seq = seq * 10 + (byte - ZERO);
  }
  return undefined;
}

function holdsAt(data: Uint8Array, at: number, text: Uint8Array): boolean {
  for (let i = 0; i < text.length; i++) if (data[at + i] !== text[i]) return false;
  return true;
}

/** The expected last sequence of the subject does not hold; a cluster also says it of writes still in flight. @internal */
export function isConflict(errCode: number): boolean {
  return errCode === 10071 || errCode === 10164;
}

/**
 * What a server says while it starts, fails over or is short of something: the same request may succeed later.
 * @internal
 */
export function isPassing(code: number, errCode: number): boolean {
  return code >= 500 || PASSING.has(errCode);
}

/** JetStream not enabled, or not ready; a batch of which a message got lost, or one more than may be open. */
const PASSING: ReadonlySet<number> = new Set([10008, 10039, 10076, 10176, 10210]);

/** Lets a message carry the active trace; where none is under way, the one that is given. @internal */
export function setTraceHeaders(headers: MsgHdrs, otherwise: StoredTrace = {}): void {
  const active = activeTrace();
  const { traceparent, tracestate }: StoredTrace = active === undefined ? otherwise : storedTraceOf(active);
  if (!traceparent) return;
  headers.set(HEADER.traceparent, traceparent);
  if (tracestate) headers.set(HEADER.tracestate, tracestate);
}

/** What a message carries of a trace. @internal */
export function traceHeadersOf(headers: MsgHdrs | undefined): { traceparent?: string; tracestate?: string } {
  const traceparent = headers?.get(HEADER.traceparent);
  const tracestate = headers?.get(HEADER.tracestate);
  return { ...(traceparent && { traceparent }), ...(tracestate && { tracestate }) };
}
