import { createGroupCommit } from '../append/group-commit.ts';
import { fixedPolicy, measuringPolicy } from '../append/group-commit-policy.ts';
import type { AppendTransport, OutgoingCommit, PublishOutcome } from '../append/resolve-append.ts';
import { type Confirmations, servingReads } from '../confirm/confirmations.ts';
import { PermissionDenied } from '../errors.ts';
import type { Guard } from '../log.ts';
import type { Runtime } from '../runtime.ts';
import { controlSubject, keyOf, type StreamRef, streamOfSubject, subjectOf } from '../stream.ts';
import { publishBatch } from './batch.ts';
import type { Gets } from './gets.ts';
import type { Reply, Requests } from './requests.ts';
import { commitHeaders, commitIdOf, guardHeaders, isConflict, isPassing, parseAck } from './wire.ts';

/** Lets at most `limit` calls run at once; the others wait their turn, first come first served. */
export function createGate(limit: number): <T>(call: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = [];
  let running = 0;
  return async (call) => {
    if (running < limit) running++;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await call();
    } finally {
      // The place is handed over, so that nobody who comes now can slip in between.
      const next = waiting.shift();
      if (next === undefined) running--;
      else next();
    }
  };
}

export interface TransportOptions {
  readonly requests: Requests;
  readonly gets: Gets;
  readonly runtime: Runtime;
  /** First token of every subject. */
  readonly prefix: string;
  readonly group: GroupSettings;
  /** Served by what is appended, where there are any. */
  readonly confirmations: Confirmations | undefined;
}

/** Whether commits of different aggregates share batches (protocol 16), and how many servers keep the log. */
export interface GroupSettings {
  readonly mode: 'auto' | 'off' | 'always';
  readonly replicated: boolean;
}

/** Batches of this process under way at once; the server takes 50 of all processes together. */
const MAX_OPEN_BATCHES = 8;
/** One server stages a batch on disk, one after the other; a cluster in memory, several at once. */
const SLOTS = { single: 1, replicated: 4 } as const;

/** The way of a commit to the server and back. */
export function createTransport(options: TransportOptions): AppendTransport {
  const { confirmations, prefix } = options;
  const subject = (stream: StreamRef) => subjectOf(prefix, stream);
  const straight = direct(options);
  const transport = confirmations === undefined ? straight : servingReads(straight, confirmations, subject);
  const { mode, replicated } = options.group;
  if (mode === 'off') return transport;
  const now = () => performance.now();
  return createGroupCommit(transport, {
    policy: mode === 'always' ? fixedPolicy(2) : measuringPolicy(now),
    slots: replicated ? SLOTS.replicated : SLOTS.single,
    now,
    soon: (callback) => void setImmediate(callback),
  });
}

function direct({ requests, gets, prefix, runtime }: TransportOptions): AppendTransport {
  const batches = createGate(MAX_OPEN_BATCHES);
  const messageOf = ({ stream, expected, commit, bytes }: OutgoingCommit) => ({
    subject: subjectOf(prefix, stream),
    payload: bytes,
    headers: commitHeaders(commit, expected),
  });
  const guardOf = ({ stream, version }: Guard) => ({
    subject: controlSubject(prefix, 'fence'),
    payload: '',
    headers: guardHeaders(subjectOf(prefix, stream), version),
  });
  const publishTogether = async (
    outgoing: readonly OutgoingCommit[],
    guards: readonly Guard[],
    timeoutMs: number,
  ): Promise<PublishOutcome> => {
    // The guards last: the versions of the commits are counted from the first message.
    const messages = [...outgoing.map(messageOf), ...guards.map(guardOf)];
    const reply = await batches(() => publishBatch(requests, runtime.id(), messages, timeoutMs));
    return outcomeOf(reply, messages.length);
  };
  return {
    publish: (outgoing, timeoutMs, guards = []) => {
      const [only] = outgoing;
      if (only === undefined || outgoing.length + guards.length > 1)
        return publishTogether(outgoing, guards, timeoutMs);
      const { subject, payload, headers } = messageOf(only);
      return requests.request(subject, payload, { headers, timeoutMs }).then(outcomeOfOne);
    },
    commitsAfter: async (stream, version) => {
      const next = await gets.leader({ next_by_subj: subjectOf(prefix, stream), seq: version + 1 });
      return next === undefined ? undefined : { commitId: commitIdOf(next), version: next.seq };
    },
    lastVersions: async (streams) => {
      const found = await gets.directLast(streams.map((stream) => subjectOf(prefix, stream)));
      return new Map(found.map(({ subject, seq }) => [keyOf(streamOfSubject(subject)), seq]));
    },
  };
}

const outcomeOfOne = (reply: Reply): PublishOutcome => outcomeOf(reply, 1);

/** What an attempt to store so many messages came to. */
export function outcomeOf(reply: Reply, commits: number): PublishOutcome {
  if (reply.failed !== undefined) {
    if (reply.failed === 'timeout' || reply.failed === 'connection-lost') {
      return { noAnswer: true, cause: reply.failed };
    }
    if (reply.failed instanceof PermissionDenied) {
      return { refused: 'NATS does not allow it', retryable: false, cause: reply.failed };
    }
    return { refused: reply.failed, retryable: reply.failed !== 'too-large' };
  }
  const ack = parseAck(reply.msg);
  if (ack.error === undefined) return { ok: true, seq: ack.seq - commits + 1 };
  const { code, errCode, description } = ack.error;
  if (isConflict(errCode)) return { conflict: true };
  return { refused: `${description} (${errCode})`, retryable: isPassing(code, errCode), byServer: true };
}
