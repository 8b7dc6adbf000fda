import { describe, expect, it } from 'vitest';
import { CommitTooLarge, DeadlineExceeded, QueueFull } from '../../../src/eventstore/errors.ts';
import { positionOf } from '../../../src/eventstore/position.ts';
import {
  added,
  type CounterCommand,
  counter,
  counterRef,
  toyCommit,
} from '../../../src/testing/contracts/toy.ts';
import { createMemoryLog } from '../../../src/testing/memory-log.ts';
import { add, meta, note, rest, service, valuesOf } from './kernel.ts';

/** A handler whose aggregate `a` has an append under way; everything sent now queues behind it. */
async function busy(options: Parameters<typeof service>[0] = {}) {
  const all = service(options);
  const release = all.log.hold();
  const first = all.handler.execute(counter, 'a', add(1), meta('first'));
  await rest();
  const send = (id: string, command: CounterCommand, expected: 'any' | 'none' | 'exists' | number = 'any') =>
    all.handler.execute(counter, 'a', command, meta(id, JSON.stringify(command)), { expected });
  return { ...all, first, release, send };
}

describe('commands that queue for one aggregate', () => {
  it('are decided in order and stored as one commit, each with its own answer', async () => {
    const { log, release, send } = await busy();
    const answers = [
      send('c1', add(10)),
      send('c2', add(-100)),
      send('c3', add(0)),
      send('c4', note('x')),
      send('c5', note('x')),
      send('c6', add(-11)),
    ];
    release();
    const settled = await Promise.all(answers);
    expect(await valuesOf(log, 'a')).toEqual([[1], [10, 'x', -11]]);
    expect(settled.map((r) => r.outcome)).toEqual([
      'accepted',
      'rejected',
      'unchanged',
      'accepted',
      'unchanged',
      'accepted',
    ]);
    expect(settled[0]).toMatchObject({
      version: 2,
      state: { total: 11, notes: [] },
      events: [{ value: 10 }],
    });
    expect(settled[3]).toMatchObject({ version: 2, state: { total: 11, notes: ['x'] }, repeated: false });
    expect(settled[5]).toMatchObject({ version: 2, state: { total: 0, notes: ['x'] } });
  });

  it('keep one decision each in that commit, with their own command ids', async () => {
    const { log, release, send } = await busy();
    const answers = Promise.all([send('c1', add(1)), send('c2', add(2)), send('c3', add(3))]);
    release();
    await answers;
    const commit = await log.at(positionOf(2));
    expect(commit?.decisions.map((d) => d.commandId)).toEqual(['c1', 'c2', 'c3']);
  });

  it('share no commit with one that carries a version, which keeps its place in the order', async () => {
    const { log, release, send } = await busy();
    const answers = Promise.all([
      send('c1', add(1)),
      send('c2', add(2), 2),
      send('c3', add(3)),
      send('c4', add(4)),
    ]);
    release();
    expect((await answers).map((r) => r.outcome)).toEqual(['accepted', 'accepted', 'accepted', 'accepted']);
    expect(await valuesOf(log, 'a')).toEqual([[1], [1], [2], [3, 4]]);
  });

  it('do not lose their order when a version in the middle does not fit', async () => {
    const { log, release, send } = await busy();
    const answers = Promise.all([send('c1', add(1)), send('c2', add(2), 1), send('c3', add(3))]);
    release();
    expect((await answers)[1]).toMatchObject({ outcome: 'conflict', expected: 1, actual: 2 });
    expect(await valuesOf(log, 'a')).toEqual([[1], [1], [3]]);
  });

  it('are decided again together when another process was faster, and answered one by one', async () => {
    const { log, release, first, send } = await busy();
    release();
    await first;
    const hold = log.hold();
    const blocked = send('c0', add(1));
    await rest();
    const answers = Promise.all([send('c1', add(-3)), send('c2', note('x'))]);
    await createRival(log);
    hold();
    expect((await blocked).outcome).toBe('accepted');
    expect((await answers).map((r) => r.outcome)).toEqual(['accepted', 'accepted']);
    expect(await valuesOf(log, 'a')).toEqual([[1], [7], [1, -3, 'x']]);
  });

  async function createRival(log: Awaited<ReturnType<typeof busy>>['log']): Promise<void> {
    // Past the gate: the rival is another process.
    const other = service({ log: { ...log, append: rivalAppend(log) } }).handler;
    await other.execute(counter, 'a', add(7), meta('rival'));
  }

  const rivalAppend =
    (log: Awaited<ReturnType<typeof busy>>['log']): typeof log.append =>
    async (stream, expected, commit) => {
      const result = await log.appendAll([{ stream, expected, commit }]);
      return result.appended ? { appended: true, version: result.versions[0] ?? 0 } : result;
    };

  it('join a contended one when it is decided again, so that they do not wait out its deadline', async () => {
    const { handler, log, runtime } = service({ settings: { deadlineMs: 1_000, maxBatch: 3 } });
    const { append } = log;
    const waiting: Promise<unknown>[] = [];
    const send = (id: string) => handler.execute(counter, 'a', add(1), meta(id));
    let rivals = 0;
    Object.assign(log, {
      append: async (...args: Parameters<typeof append>) => {
        if (rivals++ === 0) {
          for (const id of ['c2', 'c3', 'c4']) waiting.push(send(id));
          // Nearly all of the first one's time; it would not be over for those behind it.
          runtime.advance(900);
          await append(args[0], 0, toyCommit('rival', [added(7)]));
        }
        return append(...args);
      },
    });
    expect(await send('c1')).toMatchObject({ outcome: 'accepted', version: 2 });
    expect(await Promise.all(waiting)).toMatchObject([{ version: 2 }, { version: 2 }, { version: 3 }]);
    expect(await valuesOf(log, 'a')).toEqual([[7], [1, 1, 1], [1]]);
  });

  it('tell none and exists what the commands before them in the same commit made of the aggregate', async () => {
    const { handler, log } = service();
    const release = log.hold();
    const blocked = handler.execute(counter, 'b', add(1), meta('other'));
    const send = (id: string, expected: 'none' | 'exists' | 'any') =>
      handler.execute(counter, 'a', add(1), meta(id), { expected });
    const first = send('c0', 'exists');
    const answers = Promise.all([
      send('c1', 'exists'),
      send('c2', 'none'),
      send('c3', 'none'),
      send('c4', 'exists'),
    ]);
    release();
    await blocked;
    expect(await first).toMatchObject({ outcome: 'conflict', expected: 'exists', actual: 0 });
    const [before, born, twice, after] = await answers;
    expect(before).toMatchObject({ outcome: 'conflict', expected: 'exists', actual: 0 });
    expect(born).toMatchObject({ outcome: 'accepted' });
    const version = born?.outcome === 'accepted' ? born.version : 0;
    expect(twice).toMatchObject({ outcome: 'conflict', expected: 'none', actual: version });
    expect(after).toMatchObject({ outcome: 'accepted', version });
  });

  it('give one decision when two of them have the same id, and refuse the id with another content', async () => {
    const { log, release, send } = await busy();
    const answers = Promise.all([send('c1', add(10)), send('c1', add(10)), send('c1', add(11))]);
    release();
    const [one, two, three] = await answers;
    expect(one).toMatchObject({ outcome: 'accepted', repeated: false, version: 2, state: { total: 11 } });
    expect(two).toEqual({ ...one, repeated: true });
    expect(three).toEqual({ outcome: 'key-reused', version: 2 });
    expect(await valuesOf(log, 'a')).toEqual([[1], [10]]);
  });

  it('never fill a commit beyond the bound', async () => {
    const { log, release, send } = await busy({ settings: { maxBatch: 2 } });
    const answers = Promise.all([1, 2, 3, 4, 5].map((n) => send(`c${n}`, add(n))));
    release();
    await answers;
    expect(await valuesOf(log, 'a')).toEqual([[1], [1, 2], [3, 4], [5]]);
  });

  it('do not wait for those of another aggregate', async () => {
    const { log, handler } = service();
    const release = log.hold();
    const slow = handler.execute(counter, 'a', add(1), meta('c1'));
    await rest();
    release();
    log.hold();
    await slow;
    const stuck = handler.execute(counter, 'a', add(1), meta('c2'));
    stuck.catch(() => undefined);
    await expect(handler.execute(counter, 'b', add(-1), meta('c3')).then((r) => r.outcome)).resolves.toBe(
      'rejected',
    );
  });
});

describe('a decider with a bug', () => {
  it.each<[string, typeof counter.decide]>([
    [
      'throws',
      (command, state) => {
        if (command.kind === 'note') throw new TypeError('a bug');
        return counter.decide(command, state);
      },
    ],
    [
      'makes an event that cannot be encoded',
      (command, state) => (command.kind === 'note' ? [added(1.5)] : counter.decide(command, state)),
    ],
  ])('that %s fails only the caller whose command it is', async (_, decide) => {
    const buggy = { ...counter, decide };
    const { handler, log } = service();
    const release = log.hold();
    const send = (id: string, command: CounterCommand) => handler.execute(buggy, 'a', command, meta(id));
    const first = send('c0', add(1));
    await rest();
    const answers = Promise.allSettled([send('c1', add(2)), send('c2', note('x')), send('c3', add(3))]);
    release();
    await first;
    expect((await answers).map((a) => a.status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(await valuesOf(log, 'a')).toEqual([[1], [2, 3]]);
  });
});

describe('a queue', () => {
  it('that is full refuses the next command at once and nobody else', async () => {
    const { release, send, first } = await busy({ settings: { queueLimit: 2 } });
    const waiting = [send('c1', add(1)), send('c2', add(2))];
    const refused = await send('c3', add(3)).catch((e: unknown) => e);
    expect(refused).toBeInstanceOf(QueueFull);
    expect(refused).toMatchObject({ code: 'command/queue-full', retryable: true });
    release();
    expect((await Promise.all([first, ...waiting])).map((r) => r.outcome)).toEqual([
      'accepted',
      'accepted',
      'accepted',
    ]);
    expect((await send('c3', add(3))).outcome).toBe('accepted');
  });

  it('gives up a command whose deadline passed before anything of it was sent', async () => {
    const { log, runtime, release, send, first } = await busy({ settings: { deadlineMs: 1_000 } });
    const late = send('late', add(10)).catch((e: unknown) => e);
    await rest();
    runtime.advance(600);
    const inTime = send('in-time', add(20));
    runtime.advance(500);
    release();
    await first;
    expect(await late).toBeInstanceOf(DeadlineExceeded);
    expect(await late).toMatchObject({ code: 'command/deadline', retryable: true });
    expect((await inTime).outcome).toBe('accepted');
    expect(await valuesOf(log, 'a')).toEqual([[1], [20]]);
  });

  it('goes on after the log failed, and every command of the failed commit is told', async () => {
    const { log, send, release, first } = await busy();
    const [one, two] = [send('c1', add(1)), send('c2', add(2))];
    const fault = new Error('the log is away');
    const append = log.append;
    Object.assign(log, { append: () => Promise.reject(fault) });
    release();
    await first;
    await expect(one).rejects.toBe(fault);
    await expect(two).rejects.toBe(fault);
    Object.assign(log, { append });
    expect((await send('c1', add(1))).outcome).toBe('accepted');
  });
});

describe('commands that are asked together', () => {
  it('share a commit in their order though nothing is under way, each with its own decision', async () => {
    const { handler, log } = service();
    await handler.execute(counter, 'a', add(1), meta('c1'));
    const answers = await Promise.all([
      handler.execute(counter, 'a', add(2), meta('c2'), { together: true }),
      handler.execute(counter, 'a', add(3), meta('c3')),
    ]);
    expect(answers.map((answer) => 'state' in answer && answer.state.total)).toEqual([3, 6]);
    expect(await valuesOf(log, 'a')).toEqual([[1], [2, 3]]);
    const { commits } = await log.read(counterRef('a'), { after: 1, confirm: true });
    expect(commits[0]?.decisions.map(({ commandId }) => commandId)).toEqual(['c2', 'c3']);
  });

  it('are executed alone where nothing else is asked in the same turn', async () => {
    const { handler, log } = service();
    await handler.execute(counter, 'a', add(2), meta('c1'), { together: true });
    await handler.execute(counter, 'a', add(3), meta('c2'), { together: true });
    expect(await valuesOf(log, 'a')).toEqual([[2], [3]]);
  });
});

describe('commands that are too large together', () => {
  it('are stored one by one, and only the one that is too large alone is refused', async () => {
    const { log, release, first, send } = await busy({ log: createMemoryLog({ maxBytes: 1_500 }) });
    const text = (length: number) => 'x'.repeat(length);
    const answers = Promise.allSettled([
      send('c1', note(text(500))),
      send('c2', note(text(2_000))),
      send('c3', note(text(501))),
    ]);
    release();
    await first;
    const [one, two, three] = await answers;
    expect([one?.status, two?.status, three?.status]).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(two).toMatchObject({ reason: expect.any(CommitTooLarge) });
    expect(two).toMatchObject({ reason: { limit: 1_500, message: expect.stringContaining('counter/a') } });
    expect((await valuesOf(log, 'a')).map((values) => String(values[0]).length)).toEqual([1, 500, 501]);
  });
});

describe('a reader beside a lane', () => {
  it("that folds in the lane's commit before its answer comes changes nothing", async () => {
    const { handler, log } = service();
    await handler.execute(counter, 'a', add(1), meta('c1'));
    const append = log.append;
    Object.assign(log, {
      append: async (...args: Parameters<typeof append>) => {
        const result = await append(...args);
        await handler.load(counter, 'a');
        await append(counterRef('a'), result.appended ? result.version : 0, toyCommit('rival', [added(100)]));
        await handler.load(counter, 'a');
        return result;
      },
    });
    const result = await handler.execute(counter, 'a', add(10), meta('c2'));
    expect(result).toMatchObject({ version: 2, state: { total: 11 } });
    expect(await handler.load(counter, 'a', { maxAgeMs: 60_000 })).toEqual({
      state: { total: 111, notes: [] },
      version: 3,
    });
  });
});
