import { headers, type Msg, type MsgHdrs } from '@nats-io/transport-node';
import type { Commit } from '../../gen/jetledger/eventstore/v1/commit_pb.ts';
import type { RecordedCommit } from '../log.ts';
import { recordedCommit } from '../recorded-commit.ts';

/** Header names. Those of JetLedger are stored for ever. */
export const HEADER = {
  expectedSubjectSequence: 'Nats-Expected-Last-Subject-Sequence',
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
export function commitHeaders(commit: Commit, expected: number): MsgHdrs {
  const result = headers();
  result.set(HEADER.expectedSubjectSequence, String(expected));
  result.set(HEADER.commitId, commit.commitId);
  const types = new Set<string>();
  for (const decision of commit.decisions) for (const event of decision.events) types.add(event.type);
  result.set(HEADER.eventTypes, [...types].join(','));
  result.set(HEADER.contentType, CONTENT_TYPE);
  const first = commit.decisions[0];
  if (first !== undefined && first.traceparent !== '') {
    result.set(HEADER.traceparent, first.traceparent);
    if (first.tracestate !== '') result.set(HEADER.tracestate, first.tracestate);
  }
  return result;
}

/** A stored message of the log as a commit; its bytes are decoded when they are looked at. */
export function commitOf(
  subject: string,
  position: number,
  hdrs: MsgHdrs | undefined,
  bytes: Uint8Array,
): RecordedCommit {
  return recordedCommit({
    subject,
    position,
    previous: Number(hdrs?.get(HEADER.expectedSubjectSequence) ?? 0),
    commitId: hdrs?.get(HEADER.commitId),
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

/** @throws SyntaxError when the reply is not one of JetStream's */
export function parseAck(msg: Msg): PublishAck {
  const ack = JSON.parse(msg.string()) as {
    seq?: number;
    error?: { code?: number; err_code?: number; description?: string };
  };
  if (ack.error === undefined && typeof ack.seq === 'number') return { seq: ack.seq };
  const { code = 500, err_code: errCode = 0, description = 'no sequence in the answer' } = ack.error ?? {};
  return { error: { code, errCode, description } };
}

/** The expected last sequence of the subject does not hold; a cluster also says it of writes still in flight. */
export function isConflict(errCode: number): boolean {
  return errCode === 10071 || errCode === 10164;
}

/** What a server says while it starts, fails over or is short of something: the same request may succeed later. */
export function isPassing(code: number, errCode: number): boolean {
  return code >= 500 || PASSING.has(errCode);
}

/** JetStream not enabled, or not ready; a batch of which a message got lost, or one more than may be open. */
const PASSING: ReadonlySet<number> = new Set([10008, 10039, 10076, 10176, 10210]);
