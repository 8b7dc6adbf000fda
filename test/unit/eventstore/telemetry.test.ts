import { describe, expect, it } from 'vitest';
import { part } from '../../../src/eventstore/commit-all.ts';
import { LogUnavailable } from '../../../src/eventstore/errors.ts';
import type { Log } from '../../../src/eventstore/log.ts';
import { type CommandDone, combineObservers, type StoreObserver } from '../../../src/eventstore/observer.ts';
import { type CommandLogger, logStore } from '../../../src/eventstore/telemetry/logs.ts';
import { meterStore } from '../../../src/eventstore/telemetry/metrics.ts';
import { counter } from '../../../src/testing/contracts/toy.ts';
import { createMemoryLog } from '../../../src/testing/memory-log.ts';
import { testMeter } from '../../support/meter.ts';
import { add, mapStore, meta, rest, service } from './kernel.ts';

/** An observer that writes down what it is told. */
function noting(): { readonly told: string[]; readonly observer: StoreObserver } {
  const told: string[] = [];
  const observer: StoreObserver = {
    retried: (category) => told.push(`retried ${category}`),
    loaded: (source) => told.push(`loaded ${source}`),
    snapshotAge: (commits) => told.push(`snapshot ${commits} behind`),
  };
  return { told, observer };
}

const failing = (log: Log): Log => ({ ...log, append: () => Promise.reject(new LogUnavailable('a test')) });

describe('the observer of the event store', () => {
  it('hears where state comes from: nowhere, the cache, the log, a snapshot', async () => {
    const { told, observer } = noting();
    const snapshots = {
      store: mapStore(),
      settings: { verifyShare: 0, fewestCommands: 2 },
      onWrong: () => undefined,
    };
    const { handler, start } = service({ observer, snapshots });
    await handler.execute(counter, 'a', add(1), meta('1'), { assumeNew: true });
    await handler.execute(counter, 'a', add(1), meta('2'));
    await rest();
    await handler.close();
    expect(told).toEqual(['loaded new', 'loaded cache']);
    told.length = 0;
    const plain = start({ snapshots: { ...snapshots, store: mapStore() } });
    await plain.execute(counter, 'a', add(1), meta('3'));
    expect(told).toEqual(['loaded log']);
    told.length = 0;
    // Its snapshot is one commit old: the append meets a conflict, and the tail is folded on top.
    await start().execute(counter, 'a', add(1), meta('4'));
    expect(told).toEqual(['loaded snapshot', 'retried counter', 'snapshot 1 behind']);
  });

  it('hears of an aggregate that is not there once', async () => {
    const { told, observer } = noting();
    const { handler } = service({ observer });
    await handler.load(counter, 'nobody');
    expect(told).toEqual(['loaded new']);
  });

  it('may be absent', async () => {
    const { handler } = service();
    expect(await handler.execute(counter, 'a', add(1), meta('1'))).toMatchObject({ outcome: 'accepted' });
  });
});

describe('several observers as one', () => {
  it('nest their contexts, the first outside, are told in order, and hand on the work and its answer', async () => {
    const told: string[] = [];
    const noting = (name: string): StoreObserver => ({
      aroundCommand: async (call, run) => {
        told.push(`${name} begins ${call.meta.actor}`);
        const answer = await run({ ...call, meta: { ...call.meta, actor: name } });
        told.push(`${name} ends`);
        return answer;
      },
      done: ({ outcome }) => told.push(`${name} ${outcome}`),
    });
    const { handler } = service({ observer: combineObservers(noting('a'), undefined, noting('b'), {}) });
    const answer = await handler.execute(counter, 'a', add(1), meta('1'));
    expect(answer).toMatchObject({ outcome: 'accepted' });
    expect(told).toEqual(['a begins test', 'b begins a', 'a accepted', 'b accepted', 'b ends', 'a ends']);
  });

  it('pass on what is thrown', async () => {
    const through: StoreObserver = { aroundCommand: (call, run) => run(call) };
    const { handler } = service({
      log: failing(createMemoryLog()),
      observer: combineObservers(through, through),
    });
    await expect(handler.execute(counter, 'a', add(1), meta('1'))).rejects.toThrow(LogUnavailable);
  });

  it('wrap nothing that one alone listens to, and are one where there is one', () => {
    const cached = (): void => undefined;
    const only: StoreObserver = { cached };
    expect(combineObservers(undefined, only)).toBe(only);
    expect(combineObservers<StoreObserver>(only, { done: () => undefined }).cached).toBe(cached);
    expect(combineObservers<StoreObserver>(only, { done: () => undefined }).loaded).toBeUndefined();
  });
});

describe('the observer of commands', () => {
  const watchedBy = (log = createMemoryLog()) => {
    const done: CommandDone[] = [];
    const { handler } = service({ log, observer: { done: (command) => done.push(command) } });
    return { done, handler };
  };

  it('hears what became of each command, and the caller gets the same answer', async () => {
    const { done, handler } = watchedBy();
    const accepted = await handler.execute(counter, 'a', add(2), meta('1'));
    await handler.execute(counter, 'a', add(0), meta('2'));
    await handler.execute(counter, 'a', add(-9), meta('3'));
    await handler.execute(counter, 'a', add(1), meta('4'), { expected: 99 });
    expect(accepted).toMatchObject({ outcome: 'accepted', version: 1 });
    expect(done.map(({ outcome, code, version }) => [outcome, code, version])).toEqual([
      ['accepted', '', 1],
      ['unchanged', '', 1],
      ['rejected', 'counter/below-zero', 1],
      ['conflict', '', 1],
    ]);
  });

  it('hears of a fault with its code, and the caller gets it', async () => {
    const { done, handler } = watchedBy(failing(createMemoryLog()));
    await expect(handler.execute(counter, 'a', add(1), meta('1'))).rejects.toThrow(LogUnavailable);
    expect(done).toMatchObject([{ outcome: 'fault', code: 'log/unavailable', category: 'counter', id: 'a' }]);
  });

  it('hears of several that are stored together once, as of the first', async () => {
    const { done, handler } = watchedBy();
    const parts = ['a', 'b'].map((id) => part(counter, id, add(1)));
    expect(await handler.commitAll(parts, meta('1'))).toMatchObject({ outcome: 'accepted' });
    const told = { category: 'counter', id: 'a', command: 'commitAll', outcome: 'accepted', version: 1 };
    expect(done).toMatchObject([told]);
  });
});

const COUNTER = { namespace: 'jetledger', categories: ['counter'] };

describe('the metrics of commands and appends', () => {
  it('count by category, outcome and code, and events by type', async () => {
    await using numbers = await testMeter();
    const { meter, sum } = numbers;
    const { handler } = service({ observer: meterStore(meter, COUNTER) });
    await handler.execute(counter, 'a', add(1), meta('1'));
    await handler.execute(counter, 'a', add(-9), meta('2'));
    expect(
      await sum('jetledger_commands_total', { category: 'counter', outcome: 'accepted', code: '' }),
    ).toBe(1);
    expect(await sum('jetledger_commands_total', { outcome: 'rejected', code: 'counter/below-zero' })).toBe(
      1,
    );
    expect(await sum('jetledger_events_appended_total', { type: 'Int32Value' })).toBe(1);
    expect(await sum('jetledger_append_duration_seconds_count', { outcome: 'stored' })).toBe(1);
    expect(await sum('jetledger_cached_aggregates')).toBe(1);
    expect(await sum('jetledger_cached_bytes')).toBeGreaterThan(600);
  });

  it('count appends that failed, and conflicts with what is decided again', async () => {
    await using numbers = await testMeter();
    const { meter, sum } = numbers;
    const observer = meterStore(meter, COUNTER);
    const log = createMemoryLog();
    const { handler, start } = service({ log, observer });
    await handler.execute(counter, 'a', add(1), meta('1'));
    await start().execute(counter, 'a', add(1), meta('2'));
    await handler.execute(counter, 'a', add(1), meta('3'));
    expect(await sum('jetledger_append_duration_seconds_count', { outcome: 'conflict' })).toBe(1);
    expect(await sum('jetledger_command_retries_total', { category: 'counter' })).toBe(1);
    await expect(
      service({ log: failing(log), observer }).handler.execute(counter, 'b', add(1), meta('4')),
    ).rejects.toThrow();
    expect(await sum('jetledger_append_duration_seconds_count', { outcome: 'fault' })).toBe(1);
  });
});

describe('the lines of commands', () => {
  const about = {
    category: 'order',
    id: 'o1',
    command: 'place',
    commandId: 'c1',
    version: 7,
    ms: 1.26,
    traceparent: undefined,
  };
  const lines = (...done: Partial<CommandDone>[]) => {
    const written: unknown[] = [];
    const write = (level: string) => (fields: object, message: string) =>
      written.push([level, message, fields]);
    const logger: CommandLogger = {
      isLevelEnabled: () => true,
      debug: write('debug'),
      warn: write('warn'),
      error: write('error'),
    };
    const observer = logStore(logger);
    for (const each of done)
      observer.done({ ...about, outcome: 'accepted', code: '', error: undefined, ...each });
    return written;
  };

  it('are at debug for what was decided, with ids, outcome, version and time', () => {
    expect(lines({}, { outcome: 'rejected', code: 'order/exists' })).toEqual([
      ['debug', 'command', { ...about, ms: 1.3, outcome: 'accepted', code: '' }],
      ['debug', 'command', { ...about, ms: 1.3, outcome: 'rejected', code: 'order/exists' }],
    ]);
  });

  it('are at warn for what others prevented, and at error for a defect', () => {
    const defect = new TypeError('x is not a function');
    const written = lines(
      { outcome: 'conflict' },
      { outcome: 'fault', code: 'log/unavailable', error: new LogUnavailable('a test') },
      { outcome: 'fault', code: 'error', error: defect },
    );
    expect(written).toMatchObject([
      ['warn', 'command', {}],
      ['warn', 'command not served', { reason: expect.stringContaining('cannot be reached') }],
      ['error', 'command failed', { err: defect }],
    ]);
  });
});
