import { StringValueSchema } from '@bufbuild/protobuf/wkt';
import { expect, it } from 'vitest';
import { appendEvents, stateless } from '../../../src/eventstore/append-events.ts';
import { readEvents } from '../../../src/eventstore/reading/read-stream.ts';
import { all } from '../../../src/testing/contracts/log-support.ts';
import { added, counter, noted } from '../../../src/testing/contracts/toy.ts';
import { add, meta, service, valuesOf } from './kernel.ts';

it('appends events past the rules of their decider, whose state follows', async () => {
  const { handler, log, start } = service();
  await handler.execute(counter, 'a', add(5), meta('c1'));
  const result = await appendEvents(handler, counter, 'a', [added(-9), noted('import')], meta('c2'));
  expect(result).toEqual({ outcome: 'accepted', version: 2, repeated: false });
  expect(await valuesOf(log, 'a')).toEqual([[5], [-9, 'import']]);
  const state = { total: -4, notes: ['import'] };
  expect((await handler.load(counter, 'a', { maxAgeMs: 1e9 })).state).toEqual(state);
  expect((await start().load(counter, 'a')).state).toEqual(state);
});

it('appends the same command once, on any process, and refuses its id for other contents', async () => {
  const { handler, log, start } = service();
  const append = (h: typeof handler, body: string) =>
    appendEvents(h, counter, 'a', [added(1)], meta('c1', body));
  await append(handler, 'x');
  expect(await append(start(), 'x')).toEqual({ outcome: 'accepted', version: 1, repeated: true });
  expect(await append(handler, 'y')).toMatchObject({ outcome: 'key-reused', version: 1 });
  expect(await log.head()).toBe(1);
});

it('holds an expectation, and says what is there where it does not hold', async () => {
  const { handler, start } = service();
  const append = (expected: 'none' | 'exists' | number, id: string) =>
    appendEvents(handler, counter, 'a', [added(1)], meta(id), { expected });
  expect(await append('exists', 'c1')).toMatchObject({ outcome: 'conflict', actual: 0 });
  expect(await append('none', 'c2')).toMatchObject({ outcome: 'accepted', version: 1 });
  await start().execute(counter, 'a', add(1), meta('c3'));
  expect(await append(1, 'c4')).toMatchObject({
    outcome: 'conflict',
    category: 'counter',
    id: 'a',
    actual: 2,
  });
  expect(await append('none', 'c5')).toMatchObject({ outcome: 'conflict', actual: 2 });
  expect(await append(2, 'c6')).toMatchObject({ outcome: 'accepted', version: 3 });
});

it('refuses to append nothing, and what cannot be stored', async () => {
  const { handler, log } = service();
  await expect(appendEvents(handler, counter, 'a', [], meta('c1'))).rejects.toThrow(/There are no events/);
  const broken = appendEvents(handler, counter, 'a', [noted('\ud800')], meta('c2'));
  await expect(broken).rejects.toMatchObject({ code: 'event/invalid' });
  expect(await log.head()).toBe(0);
});

it('needs no decider for a category without rules; metadata come back with its events', async () => {
  const { handler, log } = service();
  const journal = stateless({ category: 'journal', events: [StringValueSchema] });
  const metadata = { source: 'import', line: '7' };
  await appendEvents(handler, journal, 'j', [noted('one'), noted('two')], { ...meta('c1'), metadata });
  await handler.execute(journal, 'j', [noted('three')], meta('c2'));
  const events = await all(readEvents<ReturnType<typeof noted>>(log, journal, 'j'));
  expect(events.map(({ event }) => event.value)).toEqual(['one', 'two', 'three']);
  expect(events.map((e) => e.metadata)).toEqual([metadata, metadata, {}]);
  expect(events.map(({ ordinal, index, commandId }) => [ordinal, index, commandId])).toEqual([
    [1, 0, 'c1'],
    [2, 1, 'c1'],
    [3, 0, 'c2'],
  ]);
});
