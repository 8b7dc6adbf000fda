import { describe, expect, it } from 'vitest';
import type { CommandHandler } from '../../../src/eventstore/command.ts';
import { REMEMBERED_COMMANDS } from '../../../src/eventstore/command-log.ts';
import { EventStoreError } from '../../../src/eventstore/errors.ts';
import { createHandler } from '../../../src/eventstore/handler.ts';
import { counter, counterRef } from '../../../src/testing/contracts/toy.ts';
import { createMemoryStore, openMemoryLog } from '../../../src/testing/memory-log.ts';
import { createWorld } from '../../../src/testing/world.ts';
import { add, mapStore, meta, note, service, valuesOf } from './kernel.ts';

const execute = (handler: CommandHandler, id: string, by: number) =>
  handler.execute(counter, 'a', add(by), meta(id, `add ${by}`));

async function many(handler: CommandHandler, count: number, prefix = 'later'): Promise<void> {
  for (let i = 0; i < count; i++) await execute(handler, `${prefix}-${i}`, 1);
}

describe('a command that is repeated', () => {
  it('gets the same answer again: its events, its version, and the state right after it', async () => {
    const { handler, log } = service();
    const first = await execute(handler, 'c1', 10);
    const second = await execute(handler, 'c2', 20);
    await execute(handler, 'c3', 30);
    expect(await execute(handler, 'c1', 10)).toEqual({ ...first, repeated: true });
    expect(await execute(handler, 'c2', 20)).toEqual({ ...second, repeated: true });
    expect(await valuesOf(log, 'a')).toEqual([[10], [20], [30]]);
  });

  it('gets it also where an earlier version stored it under another id, and is stored under its new one alone', async () => {
    const { handler, log } = service();
    const first = await execute(handler, '7/add', 10);
    const renamed = { ...meta('new', 'add 10'), formerId: '7/add' };
    expect(await handler.execute(counter, 'a', add(10), renamed)).toEqual({ ...first, repeated: true });
    expect(await handler.find(counter, 'a', renamed)).toEqual({ ...first, repeated: true });
    const other = { ...meta('new', 'add 20'), formerId: '7/add' };
    expect(await handler.execute(counter, 'a', add(20), other)).toMatchObject({ outcome: 'key-reused' });
    expect(await handler.find(counter, 'a', other)).toMatchObject({ outcome: 'key-reused' });
    await handler.execute(counter, 'b', add(1), renamed);
    expect(await handler.find(counter, 'b', { commandId: '7/add' })).toBeUndefined();
    expect(await handler.find(counter, 'b', { commandId: 'new' })).toMatchObject({ outcome: 'accepted' });
    expect(await valuesOf(log, 'a')).toEqual([[10]]);
  });

  it('gets it also where another setting stored its content under another digest', async () => {
    const { handler } = service();
    const first = await execute(handler, 'c1', 10);
    const { fingerprint: plain } = meta('c1', 'add 10');
    const keyed = { ...meta('c1', 'add 10 under a key'), formerFingerprint: plain };
    expect(await handler.execute(counter, 'a', add(10), keyed)).toEqual({ ...first, repeated: true });
    expect(await handler.find(counter, 'a', keyed)).toEqual({ ...first, repeated: true });
    const { fingerprint: other } = meta('c1', 'add 20');
    const changed = { ...keyed, formerFingerprint: other };
    expect(await handler.execute(counter, 'a', add(20), changed)).toMatchObject({ outcome: 'key-reused' });
    expect(await handler.find(counter, 'a', changed)).toMatchObject({ outcome: 'key-reused' });
  });

  it('gets it also when its decision shared a commit with others', async () => {
    const { handler, log, start } = service();
    const release = log.hold();
    const blocked = execute(handler, 'c0', 1);
    const sent = Promise.all([
      execute(handler, 'c1', 10),
      execute(handler, 'c2', 20),
      execute(handler, 'c3', 30),
    ]);
    release();
    await blocked;
    const [, middle] = await sent;
    expect(middle).toMatchObject({ version: 2, state: { total: 31 }, events: [{ value: 20 }] });
    expect(await execute(start(), 'c2', 20)).toEqual({ ...middle, repeated: true });
  });

  it('gets it after a restart, also from a snapshot', async () => {
    const store = mapStore();
    const snapshots = { store, settings: { fewestCommands: 2 }, onWrong: () => undefined };
    const { handler, start } = service({ snapshots });
    const first = await execute(handler, 'c1', 10);
    await execute(handler, 'c2', 20);
    await handler.close();
    expect(store.entries.size).toBe(1);
    expect(await execute(start(), 'c1', 10)).toEqual({ ...first, repeated: true });
  });

  it('gets it from a process that has cached the aggregate before the command', async () => {
    const { handler, start } = service();
    await execute(handler, 'c0', 5);
    const other = start();
    await other.load(counter, 'a');
    const first = await execute(handler, 'c1', -5);
    expect(await execute(other, 'c1', -5)).toEqual({ ...first, repeated: true });
  });

  it('gets it whatever version it expected, since that was true at the time', async () => {
    const { handler } = service();
    const create = () => handler.execute(counter, 'a', add(1), meta('c1'), { expected: 'none' });
    expect(await create()).toMatchObject({ outcome: 'accepted', repeated: false });
    expect(await create()).toMatchObject({ outcome: 'accepted', repeated: true, version: 1 });
  });

  it('is refused when its content is another one, and taken when nobody made a digest', async () => {
    const { handler, log } = service();
    await execute(handler, 'c1', 10);
    expect(await execute(handler, 'c1', 11)).toEqual({ outcome: 'key-reused', version: 1 });
    expect(await handler.execute(counter, 'a', add(10), meta('c1'))).toMatchObject({ repeated: true });
    expect(await valuesOf(log, 'a')).toEqual([[10]]);
  });

  it('is decided again when it was rejected or had nothing to do: those answers are not kept', async () => {
    const { handler } = service();
    expect(await execute(handler, 'c1', -5)).toMatchObject({ outcome: 'rejected' });
    expect(await execute(handler, 'c2', 0)).toMatchObject({ outcome: 'unchanged' });
    await execute(handler, 'c3', 5);
    expect(await execute(handler, 'c1', -5)).toMatchObject({ outcome: 'accepted', repeated: false });
  });

  it('sent to several processes at once is stored once, and all give the same answer', async () => {
    const { start, log } = service();
    const answers = await Promise.all(Array.from({ length: 6 }, () => execute(start(), 'c1', 10)));
    expect(await valuesOf(log, 'a')).toEqual([[10]]);
    expect(answers.filter((a) => a.outcome === 'accepted' && !a.repeated)).toHaveLength(1);
    expect(new Set(answers.map((a) => JSON.stringify({ ...a, repeated: undefined }))).size).toBe(1);
  });
});

describe('what is remembered', () => {
  it('is the creation for ever, however many commands follow it', async () => {
    const { handler, start, log } = service();
    const first = await execute(handler, 'create', 10);
    await many(handler, REMEMBERED_COMMANDS + 50);
    const before = (await valuesOf(log, 'a')).length;
    expect(await execute(handler, 'create', 10)).toEqual({ ...first, repeated: true });
    expect(await execute(start(), 'create', 10)).toEqual({ ...first, repeated: true });
    expect(await execute(start(), 'create', 11)).toEqual({ outcome: 'key-reused', version: 1 });
    expect((await valuesOf(log, 'a')).length).toBe(before);
  });

  it('is the last 256 commands of an existing aggregate, and an older one is a new command', async () => {
    const { handler, start } = service();
    await execute(handler, 'create', 10);
    await execute(handler, 'c1', 5);
    await many(handler, REMEMBERED_COMMANDS - 1);
    expect(await execute(start(), 'c1', 5)).toMatchObject({
      outcome: 'accepted',
      repeated: true,
      version: 2,
    });
    await many(handler, 1, 'last');
    expect(await execute(start(), 'c1', 5)).toMatchObject({ outcome: 'accepted', repeated: false });
    expect(await execute(handler, 'c1', 5)).toMatchObject({ repeated: true, version: 259 });
  });

  it('can be asked for without deciding anything', async () => {
    const { handler, start } = service();
    const first = await execute(handler, 'c1', 10);
    const digest = meta('c1', 'add 10').fingerprint;
    expect(await start().find(counter, 'a', { commandId: 'c1', fingerprint: digest })).toEqual({
      ...first,
      repeated: true,
    });
    expect(await start().find(counter, 'a', meta('c1', 'add 11'))).toEqual({
      outcome: 'key-reused',
      version: 1,
    });
    expect(await start().find(counter, 'a', meta('c2'))).toBeUndefined();
    expect(await start().find(counter, 'b', meta('c1'))).toBeUndefined();
  });

  it('belongs to its aggregate: two aggregates may use the same id', async () => {
    const { handler } = service();
    await execute(handler, 'c1', 10);
    expect(await handler.execute(counter, 'b', note('x'), meta('c1', 'note'))).toMatchObject({
      outcome: 'accepted',
    });
  });
});

describe('a command whose answer is lost', () => {
  it('is repeated with the same id through another process until it is answered, and is stored once', async () => {
    let unknown = 0;
    for (let seed = 0; seed < 400; seed++) {
      const faults = { lostAck: 0.4, lateLanding: 0.3, lostSend: 0.2, unavailable: 0.2, staleRead: 0.3 };
      const world = createWorld(seed, { faults });
      const store = createMemoryStore();
      await world.run(async () => {
        for (let tries = 0; ; tries++) {
          const actor = `p${tries}`;
          const log = openMemoryLog(store, { world, actor, deadlineMs: 1_000, attemptTimeoutMs: 400 });
          const handler = createHandler({ log, runtime: world.runtime(actor) });
          const result = await execute(handler, 'c1', 10).catch((e: unknown) => e);
          if (!(result instanceof EventStoreError)) {
            expect(result).toMatchObject({ outcome: 'accepted', version: 1, state: { total: 10 } });
            break;
          }
          expect(result.retryable).toBe(true);
          if (result.code === 'log/outcome-unknown') unknown++;
        }
        await world.runtime('main').sleep(60_000);
      });
      expect(store.ofStream(counterRef('a'), 0, Infinity, Infinity), `seed ${seed}`).toHaveLength(1);
    }
    expect(unknown).toBeGreaterThan(10);
  });
});
