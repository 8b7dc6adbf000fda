import { create, toBinary } from '@bufbuild/protobuf';
import type { AppendTransport, OutgoingCommit } from '../../../src/eventstore/append/resolve-append.ts';
import type { CommandHandler, CommandResult } from '../../../src/eventstore/command.ts';
import { LogUnavailable } from '../../../src/eventstore/errors.ts';
import type { Handler } from '../../../src/eventstore/handler.ts';
import type { AppendEntry, AppendResult, Log, RecordedCommit } from '../../../src/eventstore/log.ts';
import { openSnapshot, sealSnapshot } from '../../../src/eventstore/snapshots/stored.ts';
import { CommitSchema, DecisionSchema } from '../../../src/gen/jetledger/eventstore/v1/commit_pb.ts';
import { createMemoryTransport } from '../../../src/testing/memory-log.ts';
import type { KernelPlant } from './kernel-world.ts';

function neverConfirming(log: Log): Log {
  return {
    ...log,
    read: async (stream, options) =>
      options.confirm && options.after > 0
        ? { commits: [], confirmedEnd: true, more: false }
        : log.read(stream, options),
  };
}

function askingReplicas(log: Log): Log {
  return {
    ...log,
    read: async (stream, options) => {
      const page = await log.read(stream, { ...options, confirm: false });
      return { ...page, confirmedEnd: options.confirm !== false };
    },
  };
}

/** Whatever a replica shows is taken for confirmed once a fence was sent. */
function hasty(log: Log): Log {
  return {
    ...log,
    read: async (stream, options) => {
      if (options.confirm !== true) return log.read(stream, options);
      void log.confirm().catch(() => undefined);
      const page = await log.read(stream, { ...options, confirm: 'leader' });
      return { ...page, confirmedEnd: !page.more };
    },
  };
}

/** What is no commit of ours is left out, and with it the version that it is. */
function passingOver(log: Log): Log {
  return {
    ...log,
    read: async (stream, options) => {
      const page = await log.read(stream, options);
      return { ...page, commits: page.commits.filter(({ foreign }) => foreign === undefined) };
    },
  };
}

type Planted = NonNullable<KernelPlant['log']>;

/** Publishes once; what the plant makes of a missing answer is its fault. */
const publishingOnce =
  (
    onSilence: (entry: AppendEntry, next: { commitId: string; version: number } | undefined) => AppendResult,
  ): Planted =>
  (log, store, place) => {
    const transport = createMemoryTransport(store, place);
    return {
      ...log,
      append: async (stream, expected, commit) => {
        const bytes = toBinary(CommitSchema, commit) as Uint8Array<ArrayBuffer>;
        const answer = await transport.publish([{ stream, expected, commit, bytes }], 400);
        if ('ok' in answer) return { appended: true, version: answer.seq };
        if ('conflict' in answer) return { appended: false, conflict: stream };
        if ('refused' in answer) throw new LogUnavailable(answer.refused);
        const next = await transport.commitsAfter(stream, expected, 400);
        return onSilence({ stream, expected, commit }, next);
      },
    };
  };

const absenceIsEvidence = publishingOnce(({ stream, commit }, next) => {
  if (next === undefined) throw new LogUnavailable('not on the tail, so it was not stored');
  if (next.commitId === commit.commitId) return { appended: true, version: next.version };
  return { appended: false, conflict: stream };
});

const silenceIsConsent = publishingOnce(({ expected }, next) => ({
  appended: true,
  version: next?.version ?? expected + 1,
}));

/** Command ids that are read from the log are not the ones that were stored. */
function forgetting(log: Log): Log {
  const forget = (commit: RecordedCommit): RecordedCommit => ({
    stream: commit.stream,
    position: commit.position,
    previous: commit.previous,
    commitId: commit.commitId,
    decisions: commit.decisions.map((d) =>
      create(DecisionSchema, { ...d, commandId: `forgotten ${d.commandId}` }),
    ),
  });
  return {
    ...log,
    read: async (stream, options) => {
      const page = await log.read(stream, options);
      return { ...page, commits: page.commits.map(forget) };
    },
  };
}

type Execute = CommandHandler['execute'];
/** A call with its types forgotten: whatever comes back has those of the decider that went in. */
type AnyCall = (...args: Parameters<Execute>) => Promise<CommandResult<unknown, never, never>>;

/** Puts something before or behind `execute`. */
function intercepting(
  handler: Handler,
  on: (next: AnyCall, ...args: Parameters<Execute>) => Promise<unknown>,
): Handler {
  const next: AnyCall = (...args) => handler.execute(...args) as ReturnType<AnyCall>;
  const execute = (...args: Parameters<Execute>) => on(next, ...args);
  return { ...handler, execute: execute as Execute };
}

const withoutDigest = (handler: Handler): Handler =>
  intercepting(handler, async (next, decider, id, command, meta, options) => {
    const result = await next(decider, id, command, { ...meta, fingerprint: undefined }, options);
    return result;
  });

const answeringFromNow = (handler: Handler): Handler =>
  intercepting(handler, async (next, decider, id, ...rest) => {
    const result = await next(decider, id, ...rest);
    if (result.outcome !== 'accepted' || !result.repeated) return result;
    return { ...result, ...(await handler.load(decider, id)) };
  });

const coalescingIfMatch = (handler: Handler): Handler =>
  intercepting(handler, async (next, decider, id, command, meta, options = {}) => {
    const { expected } = options;
    if (typeof expected !== 'number') return next(decider, id, command, meta, options);
    const { version } = await handler.load(decider, id);
    if (version !== expected)
      return { outcome: 'conflict', category: decider.category, id, expected, actual: version };
    return next(decider, id, command, meta, { ...options, expected: 'any' });
  });

/** Whoever is answered second within one commit gets the first one's answer. */
const mixingAnswers = (handler: Handler): Handler => {
  const first = new Map<number, unknown>();
  return intercepting(handler, async (next, ...args) => {
    const result = await next(...args);
    if (result.outcome !== 'accepted' || result.repeated) return result;
    const other = first.get(result.version) ?? result;
    first.set(result.version, other);
    return other;
  });
};

const expectingNothing: Planted = (log, store) => ({
  ...log,
  append: (stream, _expected, commit) => log.append(stream, store.version(stream), commit),
});

function oneByOne(log: Log): Log {
  return {
    ...log,
    appendAll: async (entries) => {
      const versions: number[] = [];
      for (const { stream, expected, commit } of entries) {
        const result = await log.append(stream, expected, commit);
        if (!result.appended) return result;
        versions.push(result.version);
      }
      return { appended: true, versions };
    },
  };
}

/** A right checksum over a wrong state. */
const wrongly =
  (put: (key: string, value: Uint8Array) => Promise<void>) =>
  async (key: string, value: Uint8Array): Promise<void> => {
    const folded = openSnapshot<number>('memory-1', value);
    await put(
      key,
      folded === undefined ? value : sealSnapshot('memory-1', { ...folded, state: folded.state + 1 }),
    );
  };

/** One conflict, and whoever shared the batch is told what became of the first one that was stored. */
const mixingOutcomes = (transport: AppendTransport): AppendTransport => ({
  ...transport,
  publish: async (outgoing, timeoutMs) => {
    const answer = await transport.publish(outgoing, timeoutMs);
    if (!('conflict' in answer) || !isGroup(outgoing)) return answer;
    for (const one of outgoing) {
      const alone = await transport.publish([one], timeoutMs);
      if ('ok' in alone) return alone;
    }
    return answer;
  },
});

/** A batch without an answer is looked for under its first commit, and what is there counts for all. */
const firstForAll = (transport: AppendTransport): AppendTransport => ({
  ...transport,
  publish: async (outgoing, timeoutMs) => {
    const answer = await transport.publish(outgoing, timeoutMs);
    const [first] = outgoing;
    if (!('noAnswer' in answer) || first === undefined || !isGroup(outgoing)) return answer;
    const next = await transport.commitsAfter(first.stream, first.expected, timeoutMs).catch(() => undefined);
    return next === undefined ? answer : { ok: true, seq: next.version };
  },
});

/** Commits of several callers, not one of several aggregates. */
const isGroup = (outgoing: readonly OutgoingCommit[]): boolean =>
  new Set(outgoing.map(({ commit }) => commit.commitId)).size > 1;

/** The fences of protocols 1, 2, 3, 16 and 17, and a few of their neighbours, each switched off. All must be noticed. */
export const plants: Readonly<Record<string, KernelPlant>> = {
  'an answer without a look at the tail (1)': { log: (log) => neverConfirming(log) },
  'a tail that is read from a replica (1)': { log: (log) => askingReplicas(log) },
  'nothing on the tail taken for "not stored" (2)': { log: absenceIsEvidence },
  'a missing answer taken for "stored" (2)': { log: silenceIsConsent },
  'command ids that are forgotten (3)': { log: (log) => forgetting(log) },
  'a digest that nobody compares (3)': { handler: (handler) => withoutDigest(handler) },
  'a repetition that is answered from what is now (3)': { handler: (handler) => answeringFromNow(handler) },
  'a command with If-Match that shares a commit (17)': { handler: (handler) => coalescingIfMatch(handler) },
  'one conflict that mixes the outcomes of a batch (16)': { transport: mixingOutcomes },
  'a batch without an answer that is judged by its first commit (16)': { transport: firstForAll },
  'answers of two callers that are mixed (17)': { handler: (handler) => mixingAnswers(handler) },
  'a foreign message that is passed over (20)': { log: (log) => passingOver(log) },
  'an append without its expectation': { log: expectingNothing },
  'a commit of several aggregates that is stored one by one': { log: (log) => oneByOne(log) },
  'a read that believes whoever leads (19)': { cluster: 'leader' },
  'a fence that is believed before it is acknowledged (19)': { cluster: 'quorum', log: (log) => hasty(log) },
  'a snapshot that is not the fold of the log': {
    snapshots: (store) => ({ ...store, put: wrongly(store.put) }),
  },
};
