import { describe, expect, it } from 'vitest';
import {
  type AppendTransport,
  appendOne,
  appendResolved,
  type OutgoingCommit,
  type PublishOutcome,
} from '../../../src/eventstore/append/resolve-append.ts';
import {
  CommitTooLarge,
  InvalidId,
  LogUnavailable,
  OutcomeUnknown,
  PermissionDenied,
} from '../../../src/eventstore/errors.ts';
import type { Runtime } from '../../../src/eventstore/runtime.ts';
import { keyOf } from '../../../src/eventstore/stream.ts';
import { added, counterRef, toyCommit } from '../../../src/testing/contracts/toy.ts';

const stream = counterRef('a');
const commit = toyCommit('own', [added(1)]);

const OK: PublishOutcome = { ok: true, seq: 8 };
const CONFLICT: PublishOutcome = { conflict: true };
const SILENCE: PublishOutcome = { noAnswer: true };
const AWAY: PublishOutcome = { refused: 'no responders', retryable: true };
const FORBIDDEN: PublishOutcome = { refused: 'permission denied', retryable: false };
const DENIAL = new PermissionDenied('publish', 'jl.counter.0.0.0.a');
const DENIED: PublishOutcome = { refused: 'not allowed', retryable: false, cause: DENIAL };

const OWN = { commitId: 'own', version: 8 };
const OTHER = { commitId: 'other', version: 6 };
const NOTHING = undefined;
/** As a server says it that does not lead any more, or not yet. */
const NOT_READY: PublishOutcome = { refused: 'not available', retryable: true, byServer: true };
const UNREACHABLE = new LogUnavailable('scripted');

type Tail = typeof OWN | typeof NOTHING | Error;

/** Plays the answers one after the other; the last one again and again. Silence takes the whole timeout. */
function script(
  publishes: readonly PublishOutcome[],
  tails: readonly Tail[] = [],
  replicated = false,
  last: Readonly<Record<string, number>> = {},
) {
  let now = 0;
  const sent: (readonly OutgoingCommit[])[] = [];
  const reads: number[] = [];
  const runtime: Runtime = {
    now: () => now,
    random: () => 0.5,
    id: () => 'unused',
    sleep: async (ms) => {
      now += ms;
    },
  };
  const transport: AppendTransport = {
    publish: async (outgoing, timeoutMs) => {
      const answer = publishes[Math.min(sent.length, publishes.length - 1)] ?? SILENCE;
      sent.push(outgoing);
      now += 'noAnswer' in answer ? timeoutMs : 1;
      return answer;
    },
    commitsAfter: async (_, version) => {
      const tail = tails[Math.min(reads.length, tails.length - 1)];
      reads.push(version);
      now += 1;
      if (tail instanceof Error) throw tail;
      return tail;
    },
    lastVersions: async () => new Map(Object.entries(last)),
  };
  const append = (expected = 5) =>
    appendOne(
      transport,
      { stream, expected, commit },
      { runtime, deadlineMs: 2000, attemptTimeoutMs: 500, replicated },
    );
  const guards = [{ stream: counterRef('guard'), version: 3 }];
  const appendGuarded = () =>
    appendResolved(
      transport,
      [{ stream, expected: 5, commit }],
      { runtime, deadlineMs: 2000, attemptTimeoutMs: 500, replicated },
      guards,
    );
  return { append, appendGuarded, sent, reads, waitedMs: () => now };
}

describe('an append whose first attempt is answered', () => {
  it('is stored when the server says so, after one message', async () => {
    const { append, sent, reads } = script([OK]);
    expect(await append()).toEqual({ appended: true, version: 8 });
    expect([sent.length, reads.length]).toEqual([1, 0]);
  });

  it('is a conflict without a look at the tail: nothing of it can have been stored', async () => {
    const { append, sent, reads } = script([CONFLICT]);
    expect(await append()).toEqual({ appended: false, conflict: stream });
    expect([sent.length, reads.length]).toEqual([1, 0]);
  });

  it('is an error that is not worth repeating when the server refuses it for good', async () => {
    const { append, sent } = script([FORBIDDEN]);
    await expect(append()).rejects.toMatchObject({ code: 'log/refused', retryable: false });
    expect(sent).toHaveLength(1);
  });
});

describe('an append to a log that several servers keep, of which two believe to lead', () => {
  it('is stored when one refuses it and the other has it', async () => {
    const refused = script([CONFLICT], [OWN], true);
    expect(await refused.append()).toEqual({ appended: true, version: 8 });
    expect([refused.sent.length, refused.reads.length]).toEqual([1, 1]);
    expect(await script([NOT_READY, CONFLICT], [OWN], true).append()).toEqual({ appended: true, version: 8 });
  });

  it('is a conflict once another commit holds its place', async () => {
    expect(await script([CONFLICT], [OTHER], true).append()).toEqual({ appended: false, conflict: stream });
  });

  it('is sent again while nobody shows who holds the place, and unknown at the end', async () => {
    const late = script([CONFLICT, CONFLICT, OK], [NOTHING, UNREACHABLE], true);
    expect(await late.append()).toEqual({ appended: true, version: 8 });
    await expect(script([CONFLICT], [NOTHING], true).append()).rejects.toBeInstanceOf(OutcomeUnknown);
    await expect(script([NOT_READY], [], true).append()).rejects.toBeInstanceOf(OutcomeUnknown);
  });

  it('is certainly not stored when no server took it', async () => {
    await expect(script([AWAY], [], true).append()).rejects.toBeInstanceOf(LogUnavailable);
  });
});

describe('an append that NATS does not permit', () => {
  it('is told as such after one message: nothing was stored', async () => {
    const { append, sent } = script([DENIED]);
    await expect(append()).rejects.toBe(DENIAL);
    expect(sent).toHaveLength(1);
  });

  it('was stored all the same when an earlier attempt was, and is unknown when that cannot be told', async () => {
    expect(await script([SILENCE, DENIED], [OWN]).append()).toEqual({ appended: true, version: 8 });
    const other = await script([SILENCE, DENIED], [OTHER]).append();
    expect(other).toEqual({ appended: false, conflict: stream });
    await expect(script([SILENCE, DENIED], [NOTHING]).append()).rejects.toBeInstanceOf(OutcomeUnknown);
    await expect(script([SILENCE, DENIED], [DENIAL]).append()).rejects.toBeInstanceOf(OutcomeUnknown);
  });
});

describe('an append that nobody took', () => {
  it('is sent again and stored when the server is back', async () => {
    const { append, sent, reads } = script([AWAY, AWAY, OK]);
    expect(await append()).toEqual({ appended: true, version: 8 });
    expect([sent.length, reads.length]).toEqual([3, 0]);
  });

  it('is still in no doubt, so a conflict after it is a conflict', async () => {
    const { append, reads } = script([AWAY, CONFLICT], [OWN]);
    expect(await append()).toEqual({ appended: false, conflict: stream });
    expect(reads).toEqual([]);
  });

  it('ends as "not stored" at the deadline', async () => {
    const { append, waitedMs } = script([AWAY]);
    await expect(append()).rejects.toBeInstanceOf(LogUnavailable);
    expect(waitedMs()).toBeLessThanOrEqual(2000);
  });
});

describe('an append in doubt', () => {
  it('is sent again with the same bytes and the same expectation', async () => {
    const { append, sent } = script([SILENCE, SILENCE, OK]);
    expect(await append()).toEqual({ appended: true, version: 8 });
    expect(sent).toHaveLength(3);
    expect(new Set(sent.flat().map((s) => s.bytes)).size).toBe(1);
    expect(sent.flat().map((s) => s.expected)).toEqual([5, 5, 5]);
  });

  it('was stored the first time when the second meets a conflict and its own commit is next', async () => {
    const { append, reads } = script([SILENCE, CONFLICT], [OWN]);
    expect(await append()).toEqual({ appended: true, version: 8 });
    expect(reads).toEqual([5]);
  });

  it('can never be stored when another commit is next', async () => {
    const { append } = script([SILENCE, CONFLICT], [OTHER]);
    expect(await append()).toEqual({ appended: false, conflict: stream });
  });

  it('takes nothing on the tail for no evidence and sends again', async () => {
    const { append, sent } = script([SILENCE, CONFLICT, OK], [NOTHING]);
    expect(await append()).toEqual({ appended: true, version: 8 });
    expect(sent).toHaveLength(3);
  });

  it('looks again after a leader that knew nothing yet', async () => {
    const { append } = script([SILENCE, CONFLICT, CONFLICT], [NOTHING, OWN]);
    expect(await append()).toEqual({ appended: true, version: 8 });
  });

  it('looks again after a leader that could not be reached', async () => {
    const { append } = script([SILENCE, CONFLICT, CONFLICT], [UNREACHABLE, OTHER]);
    expect(await append()).toEqual({ appended: false, conflict: stream });
  });

  it('stays in doubt when the server was away in between', async () => {
    const { append, reads } = script([SILENCE, AWAY, CONFLICT], [OWN]);
    expect(await append()).toEqual({ appended: true, version: 8 });
    expect(reads).toEqual([5]);
  });

  it('asks the tail when the server now refuses it for good', async () => {
    expect(await script([SILENCE, FORBIDDEN], [OWN]).append()).toEqual({ appended: true, version: 8 });
    expect(await script([SILENCE, FORBIDDEN], [OTHER]).append()).toEqual({
      appended: false,
      conflict: stream,
    });
    await expect(script([SILENCE, FORBIDDEN], [NOTHING]).append()).rejects.toBeInstanceOf(OutcomeUnknown);
  });

  it.each([
    ['no answer at all', [SILENCE], []],
    ['a server that is away since', [SILENCE, AWAY], []],
    ['conflicts with nothing on the tail', [SILENCE, CONFLICT], [NOTHING]],
    ['conflicts and no leader to ask', [SILENCE, CONFLICT], [UNREACHABLE]],
  ] as const)('is called unknown at the deadline, and not before: %s', async (_, publishes, tails) => {
    const { append, waitedMs, sent } = script(publishes, tails);
    const error = await append().catch((e: unknown) => e);
    expect(error).toBeInstanceOf(OutcomeUnknown);
    expect(error).toMatchObject({ code: 'log/outcome-unknown', retryable: true });
    expect(waitedMs()).toBeGreaterThan(1000);
    expect(waitedMs()).toBeLessThanOrEqual(2000);
    expect(sent.length).toBeGreaterThan(2);
  });

  it('passes on an error of the read that is not about reaching the leader', async () => {
    const { append } = script([SILENCE, CONFLICT], [new TypeError('a bug')]);
    await expect(append()).rejects.toThrow(TypeError);
  });
});

describe('an append that must not be sent', () => {
  it.each([-1, 1.5, Number.NaN])(
    'is refused before anything is sent when its expectation is %d',
    async (expected) => {
      const { append, sent } = script([OK]);
      await expect(append(expected)).rejects.toMatchObject({ code: 'commit/invalid' });
      expect(sent).toEqual([]);
    },
  );

  it('is refused before anything is sent when it is too large, has a bad id or is empty', async () => {
    const { sent } = script([OK]);
    const transport: AppendTransport = {
      publish: async () => OK,
      commitsAfter: async () => undefined,
      lastVersions: async () => new Map(),
    };
    const runtime: Runtime = { now: () => 0, random: () => 0, id: () => '', sleep: async () => undefined };
    const options = { runtime, deadlineMs: 2000, attemptTimeoutMs: 500, maxBytes: 10 };
    await expect(appendOne(transport, { stream, expected: 0, commit }, options)).rejects.toBeInstanceOf(
      CommitTooLarge,
    );
    await expect(
      appendOne(transport, { stream: counterRef('*'), expected: 0, commit }, options),
    ).rejects.toBeInstanceOf(InvalidId);
    const empty = toyCommit('empty');
    await expect(appendOne(transport, { stream, expected: 0, commit: empty }, options)).rejects.toMatchObject(
      {
        code: 'commit/invalid',
      },
    );
    expect(sent).toEqual([]);
  });
});

describe('an append with a guard, where several servers keep the log', () => {
  const target = keyOf(stream);
  const guarded = keyOf(counterRef('guard'));
  const conflict = { appended: false, conflict: counterRef('guard') };

  it('is a conflict of the guard once one state shows that it has moved on and the commit is not there', async () => {
    const { appendGuarded } = script([CONFLICT], [NOTHING], true, { [target]: 5, [guarded]: 4 });
    expect(await appendGuarded()).toEqual(conflict);
  });

  it('is not called refused while the guard still holds, or where the commit may have come before its move', async () => {
    for (const last of [
      { [target]: 5, [guarded]: 3 },
      { [target]: 6, [guarded]: 4 },
    ]) {
      const { appendGuarded } = script([CONFLICT], [NOTHING], true, last);
      await expect(appendGuarded()).rejects.toMatchObject({ code: 'log/outcome-unknown' });
    }
  });

  it('is stored when the commit is found, wherever the guard is by now', async () => {
    const { appendGuarded } = script([SILENCE, CONFLICT], [OWN], true, { [target]: 6, [guarded]: 9 });
    expect(await appendGuarded()).toEqual({ appended: true, versions: [OWN.version] });
  });
});
