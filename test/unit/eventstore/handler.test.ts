import { describe, expect, it } from 'vitest';
import type { CommandHandler } from '../../../src/eventstore/command.ts';
import { InvalidId, UnknownEventType } from '../../../src/eventstore/errors.ts';
import type { Log, RecordedCommit } from '../../../src/eventstore/log.ts';
import { BEGINNING, numberOf, versionAt } from '../../../src/eventstore/position.ts';
import { added, counter, counterRef, toyCommit } from '../../../src/testing/contracts/toy.ts';
import { createMemoryLog } from '../../../src/testing/memory-log.ts';
import { add, meta, note, service, valuesOf } from './kernel.ts';

const outcomeOf = async (result: Promise<{ outcome: string }>): Promise<string> => (await result).outcome;

/** Somebody else's writes between a decision and its append: as many as there are values. */
function overtaken(log: Log, values: number[]): Log {
  const rival = async (): Promise<void> => {
    const by = values.shift();
    if (by === undefined) return;
    const { commits } = await log.read(counterRef('a'), { after: 0, confirm: true });
    const last = versionAt(commits.at(-1)?.position ?? BEGINNING);
    await log.append(counterRef('a'), last, toyCommit(`rival-${values.length}-${last}`, [added(by)]));
  };
  return {
    ...log,
    append: async (...args) => {
      await rival();
      return log.append(...args);
    },
  };
}

describe('an expectation', () => {
  it('none is met by an aggregate that does not exist, and by no other', async () => {
    const { handler } = service();
    const create = (id: string) => handler.execute(counter, 'a', add(1), meta(id), { expected: 'none' });
    expect(await create('c1')).toMatchObject({ outcome: 'accepted', version: 1 });
    expect(await create('c2')).toEqual({
      outcome: 'conflict',
      category: 'counter',
      id: 'a',
      expected: 'none',
      actual: 1,
    });
  });

  it('exists is met by an aggregate that exists, and by no other', async () => {
    const { handler, log } = service();
    const change = (id: string) => handler.execute(counter, 'a', add(1), meta(id), { expected: 'exists' });
    expect(await change('c1')).toMatchObject({ outcome: 'conflict', expected: 'exists', actual: 0 });
    await handler.execute(counter, 'a', add(5), meta('c2'));
    expect(await change('c3')).toMatchObject({ outcome: 'accepted', state: { total: 6 } });
    expect(await valuesOf(log, 'a')).toEqual([[5], [1]]);
  });

  it('of an exact version is met by that version, and says expected and actual otherwise', async () => {
    const { handler } = service();
    const at = (id: string, expected: number) =>
      handler.execute(counter, 'a', add(1), meta(id), { expected });
    expect(await at('c1', 3)).toMatchObject({ outcome: 'conflict', expected: 3, actual: 0 });
    expect(await at('c2', 0)).toMatchObject({ outcome: 'accepted', version: 1 });
    expect(await at('c3', 1)).toMatchObject({ outcome: 'accepted', version: 2 });
    expect(await at('c4', 1)).toEqual({
      outcome: 'conflict',
      category: 'counter',
      id: 'a',
      expected: 1,
      actual: 2,
    });
  });

  it('of an exact version is never tried on another one, even when the decision would still hold', async () => {
    const { log, start, handler } = service();
    await handler.execute(counter, 'a', add(1), meta('c1'));
    const rushed = start();
    await rushed.load(counter, 'a');
    await handler.execute(counter, 'a', add(10), meta('c2'));
    const before = log.calls.appends;
    expect(await rushed.execute(counter, 'a', add(100), meta('c3'), { expected: 1 })).toMatchObject({
      outcome: 'conflict',
      expected: 1,
      actual: 2,
    });
    expect(log.calls.appends - before).toBe(1);
    expect(await valuesOf(log, 'a')).toEqual([[1], [10]]);
  });

  it('any is retried on the tail when others were faster', async () => {
    const values = [1, 2, 3];
    const { log } = service();
    const { handler } = service({ log: overtaken(log, values) });
    const result = await handler.execute(counter, 'a', add(100), meta('c1'));
    expect(result).toMatchObject({ outcome: 'accepted', state: { total: 106 }, version: 4 });
  });

  it('any is decided again for as long as its deadline allows, and then never answered as a conflict', async () => {
    const { log } = service();
    const patient = service({ log: overtaken(log, Array(30).fill(1)) });
    const result = await patient.handler.execute(counter, 'a', add(100), meta('c1'));
    expect(result).toMatchObject({ outcome: 'accepted', state: { total: 130 }, version: 31 });

    const crowd = service({ log: overtaken(log, Array(500).fill(1)), settings: { deadlineMs: 1_000 } });
    const startedAt = crowd.runtime.now();
    await expect(crowd.handler.execute(counter, 'a', add(100), meta('c2'))).rejects.toMatchObject({
      code: 'command/deadline',
      retryable: true,
    });
    const took = crowd.runtime.now() - startedAt;
    expect(took).toBeGreaterThan(1_000);
    expect(took).toBeLessThan(1_100);
    expect((await valuesOf(log, 'a')).flat().filter((value) => value === 100)).toHaveLength(1);
  });

  it('any is appended on what was read after the pause, not before it', async () => {
    const { log } = service();
    const { handler, runtime, log: own } = service({ log: overtaken(log, [1, 2, 3]) });
    const happened: string[] = [];
    const noting =
      <A extends unknown[], T>(what: string, call: (...args: A) => T) =>
      (...args: A): T => {
        happened.push(what);
        return call(...args);
      };
    Object.assign(runtime, { sleep: noting('pause', runtime.sleep) });
    Object.assign(own, { read: noting('read', own.read), append: noting('append', own.append) });
    await handler.execute(counter, 'a', add(100), meta('c1'));
    const again = ['pause', 'read', 'append'];
    expect(happened.slice(happened.indexOf('append'))).toEqual([
      'append',
      'read',
      'append',
      ...again,
      ...again,
    ]);
  });
});

describe('a process in a crowd', () => {
  it('pauses after each few commits, so that those who must read first get in, and no more once nobody came', async () => {
    const { log } = service();
    const { handler, runtime } = service({ log: overtaken(log, [7]) });
    const store = async (id: string) => handler.execute(counter, 'a', add(1), meta(id));
    for (let i = 0; i < 2; i++) await store(`c${i}`);
    expect(runtime.slept).toEqual([]);
    await log.append(counterRef('a'), numberOf(await log.head()), toyCommit('late', [added(10)]));
    expect(await store('c4')).toMatchObject({ outcome: 'accepted', state: { total: 20 } });
    expect(runtime.slept).toEqual([4]);
    runtime.advance(2_000);
    for (let i = 5; i < 20; i++) await store(`c${i}`);
    expect(runtime.slept).toEqual([4]);
  });
});

describe('only an append validates state (protocol 1)', () => {
  /** Two processes; the second has cached a total of 5 when the first makes something else of it. */
  async function story(change: (first: CommandHandler) => Promise<unknown>) {
    const { start, log, handler: first } = service();
    await first.execute(counter, 'a', add(5), meta('c1'));
    await first.execute(counter, 'a', note('Ada'), meta('c2'));
    const second = start();
    await second.load(counter, 'a');
    await change(first);
    return { second, log };
  }

  it('so "nothing to do" is answered with the version on which it is true', async () => {
    const { start, log, handler: first } = service();
    await first.execute(counter, 'a', note('Ada'), meta('c1'));
    const second = start();
    await second.load(counter, 'a');
    expect(await outcomeOf(second.execute(counter, 'a', note('Ada'), meta('c2')))).toBe('unchanged');
    await first.execute(counter, 'a', note('Bob'), meta('c3'));
    expect(await second.execute(counter, 'a', note('Bob'), meta('c4'))).toMatchObject({
      outcome: 'unchanged',
      version: 2,
    });
    expect(await valuesOf(log, 'a')).toEqual([['Ada'], ['Bob']]);
  });

  it('so a rename to the cached name is stored when another process has renamed since', async () => {
    const named = {
      ...counter,
      sections: undefined,
      decide: (command: { kind: 'rename'; text: string }, state: typeof counter.initial) =>
        state.notes.at(-1) === command.text
          ? []
          : counter.decide(note(command.text), { total: 0, notes: [] }),
    };
    const { start, log, handler: first } = service();
    const rename = (by: CommandHandler, text: string, id: string) =>
      by.execute(named, 'a', { kind: 'rename', text }, meta(id));
    await rename(first, 'Ada', 'c1');
    const second = start();
    await rename(second, 'Ada', 'c2');
    await rename(first, 'Bob', 'c3');
    expect(await outcomeOf(rename(second, 'Ada', 'c4'))).toBe('accepted');
    expect(await valuesOf(log, 'a')).toEqual([['Ada'], ['Bob'], ['Ada']]);
  });

  it('so a rejection from a stale cache is not given: stock that another process received is there', async () => {
    const { second } = await story((first) => first.execute(counter, 'a', add(10), meta('c3')));
    expect(await second.execute(counter, 'a', add(-15), meta('c4'))).toMatchObject({
      outcome: 'accepted',
      state: { total: 0 },
    });
  });

  it('so a rejection that still holds names the version on which it does', async () => {
    const { second } = await story((first) => first.execute(counter, 'a', add(1), meta('c3')));
    expect(await second.execute(counter, 'a', add(-15), meta('c4'))).toMatchObject({
      outcome: 'rejected',
      rejection: { code: 'counter/below-zero' },
      version: 3,
    });
  });

  it('so "not found" of an aggregate that another process created meanwhile is not given', async () => {
    // The second process reads from a replica that has not heard of the creation.
    const { log, handler: first } = service();
    await first.execute(counter, 'a', add(5), meta('c1'));
    const stale: Log = {
      ...log,
      read: (stream, options) =>
        options.confirm
          ? log.read(stream, options)
          : Promise.resolve({ commits: [], confirmedEnd: false, more: false }),
    };
    const second = service({ log: stale }).handler;
    expect(await second.execute(counter, 'a', add(1), meta('c2'), { expected: 'exists' })).toMatchObject({
      outcome: 'accepted',
      version: 2,
    });
  });

  it('so a version mismatch from a stale cache is not given', async () => {
    const { second } = await story((first) => first.execute(counter, 'a', add(1), meta('c3')));
    const result = await second.execute(counter, 'a', add(1), meta('c4'), { expected: 3 });
    expect(result).toMatchObject({ outcome: 'accepted', version: 4 });
  });

  it('so an accepted command on warm state costs one append and no read', async () => {
    const { handler, log } = service();
    await handler.execute(counter, 'a', add(5), meta('c1'));
    const before = { ...log.calls };
    await handler.execute(counter, 'a', add(5), meta('c2'));
    expect(log.calls).toEqual({ ...before, appends: before.appends + 1 });
  });

  it('so a creation costs one append and no read, and a wrong guess only a conflict', async () => {
    const { handler, start, log } = service();
    const create = (by: CommandHandler, id: string) =>
      by.execute(counter, 'a', add(5), meta(id), { assumeNew: true });
    await create(handler, 'c1');
    expect(log.calls).toEqual({ appends: 1, reads: 0, confirmed: 0 });
    expect(await create(start(), 'c2')).toMatchObject({ outcome: 'accepted', state: { total: 10 } });
  });
});

/** Three commits that each add one, as a reader of the log is given them. */
async function deliveredOf(handler: CommandHandler, log: Log): Promise<readonly RecordedCommit[]> {
  for (const id of ['c1', 'c2', 'c3']) await handler.execute(counter, 'a', add(1), meta(id));
  return (await log.read(counterRef('a'), { after: 0, confirm: true })).commits;
}

describe('an aggregate that is loaded', () => {
  it('is confirmed with the leader unless the caller allows an age', async () => {
    const { handler, start, log, runtime } = service();
    await handler.execute(counter, 'a', add(5), meta('c1'));
    const other = start();
    await other.execute(counter, 'a', add(5), meta('c2'));
    runtime.advance(50);
    expect((await handler.load(counter, 'a', { maxAgeMs: 100 })).state.total).toBe(5);
    expect((await handler.load(counter, 'a', { maxAgeMs: 49 })).state.total).toBe(10);
    const reads = log.calls.reads;
    await handler.load(counter, 'a', { maxAgeMs: 1 });
    expect(log.calls.reads).toBe(reads);
  });

  it('behind a position is asked for only where what is known does not lie behind it', async () => {
    const { handler, start, log } = service();
    const [first, , third] = await deliveredOf(handler, log);
    const other = start();
    await other.execute(counter, 'a', add(5), meta('c4'));
    const [early = BEGINNING, late = BEGINNING] = [first?.position, third?.position];
    const reads = log.calls.reads;
    expect((await handler.load(counter, 'a', { behind: early })).state.total).toBe(3);
    expect(log.calls.reads).toBe(reads);
    expect((await handler.load(counter, 'a', { behind: late })).state.total).toBe(8);
    expect(log.calls.reads).toBe(reads + 1);
  });

  it('as of a commit that a reader was given costs no read, where that commit is known or the next one', async () => {
    const { handler, start, log } = service();
    const delivered = await deliveredOf(handler, log);
    const [first, second, third] = delivered;
    const reads = log.calls.reads;
    const state = async (by: CommandHandler, asOf: RecordedCommit | undefined) =>
      (await by.load(counter, 'a', { asOf })).state.total;
    const other = start();
    expect(await state(handler, first)).toBe(3);
    expect([await state(other, first), await state(other, second), await state(other, first)]).toEqual([
      1, 2, 2,
    ]);
    expect(log.calls.reads).toBe(reads);
    // What lies between is not known: nothing is folded over a gap.
    expect(await state(start(), third)).toBe(3);
    expect(log.calls.reads).toBe(reads + 1);
    expect((await other.execute(counter, 'a', add(1), meta('c4'))).outcome).toBe('accepted');
    expect((await handler.load(counter, 'a')).state.total).toBe(4);
  });

  it('is never folded from the commit of another one', async () => {
    const { handler, log } = service();
    const [asOf] = await deliveredOf(handler, log);
    await expect(handler.load(counter, 'b', { asOf })).rejects.toThrow('says nothing of counter/b');
  });

  it('has version 0 when it does not exist', async () => {
    expect(await service().handler.load(counter, 'a')).toEqual({ state: counter.initial, version: 0 });
  });

  it('is complete however many pages its history has, and however few aggregates are kept', async () => {
    const { handler, start } = service({
      log: createMemoryLog({ pageSize: 3 }),
      settings: { cacheEntries: 1 },
    });
    for (let i = 0; i < 10; i++) await handler.execute(counter, `a${i % 2}`, add(1), meta(`c${i}`));
    expect((await start().load(counter, 'a0')).state.total).toBe(5);
    expect((await start({ settings: { cacheEntries: 0 } }).load(counter, 'a1')).state.total).toBe(5);
  });
});

describe('an id that could leave its subject', () => {
  it.each(['*', '>', 'a.b', '', 'a b', 'x'.repeat(129)])(
    'is refused before anything is asked: %j',
    async (id) => {
      const { handler, log } = service();
      await expect(handler.execute(counter, id, add(1), meta('c1'))).rejects.toBeInstanceOf(InvalidId);
      await expect(handler.load(counter, id)).rejects.toBeInstanceOf(InvalidId);
      await expect(handler.find(counter, id, { commandId: 'c1' })).rejects.toBeInstanceOf(InvalidId);
      expect(log.calls).toEqual({ appends: 0, reads: 0, confirmed: 0 });
    },
  );
});

describe('an aggregate with an event that this version cannot read', () => {
  it('takes no command, also not on what was cached before it, and is left as it is', async () => {
    const { handler, log } = service();
    await handler.execute(counter, 'a', add(5), meta('c1'));
    const newer = toyCommit('newer', [added(1)]);
    for (const event of newer.decisions.flatMap((d) => d.events)) event.type = 'Multiplied';
    await log.append(counterRef('a'), 1, newer);
    for (const command of [add(1), add(-100), add(0)]) {
      await expect(handler.execute(counter, 'a', command, meta('c2'))).rejects.toBeInstanceOf(
        UnknownEventType,
      );
    }
    await expect(handler.load(counter, 'a')).rejects.toThrow('counter/Multiplied');
    expect((await log.read(counterRef('a'), { after: 0, confirm: true })).commits).toHaveLength(2);
  });
});
