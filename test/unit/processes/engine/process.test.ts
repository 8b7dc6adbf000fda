import type { Message } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { createHandler } from '../../../../src/eventstore/handler.ts';
import { positionOf } from '../../../../src/eventstore/position.ts';
import { systemRuntime } from '../../../../src/eventstore/runtime.ts';
import { GiveUp, RetryLater, reactionContext } from '../../../../src/processes/engine/cause.ts';
import { createDecode } from '../../../../src/processes/engine/delivery.ts';
import {
  command,
  effectsOf,
  type Process,
  runProcess,
  runProcessTimer,
  type StandardEffect,
} from '../../../../src/processes/engine/process.ts';
import type { Delivery } from '../../../../src/processes/engine/reaction.ts';
import {
  added,
  type CounterEvent,
  type CounterState,
  counter,
  noted,
} from '../../../../src/testing/contracts/toy.ts';
import { createMemoryLog } from '../../../../src/testing/memory-log.ts';

const AT = 1_000;
const happened = { id: 'p1', time: AT };
/** More than there is. */
const tooMuch = { kind: 'add', by: -10 } as const;

/** Numbers start a process, the note "end" ends it, other notes continue it. Its state is the counter of its id. */
const toyProcess = (
  react: Process<CounterEvent, CounterState>['react'],
): Process<CounterEvent, CounterState> => ({
  name: 'toy',
  sources: [counter],
  from: 'beginning',
  state: counter,
  route: (event) => {
    if (event.$typeName === 'google.protobuf.Int32Value') return { as: 'start', id: 'p1' };
    return event.value === 'other' ? undefined : { as: event.value === 'end' ? 'end' : 'continue', id: 'p1' };
  },
  react,
  compensate: () => [command(counter, 'p1', { kind: 'note', text: 'given back' }, 'back')],
  timers: { alarm: ({ total }, { time }) => [command(counter, 'p1', { kind: 'add', by: time + total }, '')] },
});

function world() {
  const handler = createHandler({ log: createMemoryLog(), runtime: systemRuntime });
  const asked: string[] = [];
  const timers = {
    arm: async ({ kind, id, at }: { kind: string; id: string; at: number }) =>
      void asked.push(`arm ${kind} ${id} ${at}`),
    disarm: async (kind: string, id: string) => void asked.push(`disarm ${kind} ${id}`),
  };
  const state = async () => (await handler.load(counter, 'p1')).state;
  const handle = async (process: Process<CounterEvent, CounterState>, event: CounterEvent): Promise<void> => {
    const reaction = runProcess(process, { timers });
    const [position, origin] = [positionOf(1), { commandId: 'c', correlationId: 'c', actor: 'a' }];
    const stored = { causationId: '', traceparent: '', tracestate: '', time: AT, metadata: {} };
    const consumed = { event, id: 'e1', position, index: 0, ...origin, ...stored };
    const delivery: Delivery<CounterEvent & Message> = {
      ...{ stream: { category: 'counter', id: 'x' }, position, commitId: 'c', events: [consumed] },
      ...{ attempt: 1, redriven: false, maybeHandled: false },
    };
    await reaction.handle(delivery, reactionContext(handler, 'toy', position));
  };
  return { handler, asked, timers, state, handle };
}

const doing = (...effects: StandardEffect[]) => toyProcess(() => effects);

test('what continues a process that has not begun is tried again later, and what is of none is passed', async () => {
  const { handle, asked } = world();
  const process = doing({ type: 'arm', timer: 'alarm', at: AT });
  await expect(handle(process, noted('go on'))).rejects.toThrow(RetryLater);
  await handle(process, noted('other'));
  expect(asked).toEqual([]);
  await handle(process, added(1));
  expect(asked).toEqual(['arm alarm p1 1000']);
});

test('at its end a process gives back first, then its timers are disarmed, then it reacts', () => {
  const last = command(counter, 'p1', { kind: 'note', text: 'ended' }, 'end');
  const effects = effectsOf(doing(last), { as: 'end' }, noted('end'), counter.initial, happened);
  expect(effects).toMatchObject([{ key: 'back' }, { type: 'disarm', timer: 'alarm' }, { key: 'end' }]);
});

test('a command that is refused is given up, ignored, or leads to another one, as it says', async () => {
  const { handle, state } = world();
  await expect(handle(doing(command(counter, 'p1', tooMuch, 'a')), added(1))).rejects.toThrow(GiveUp);
  await handle(doing(command(counter, 'p1', tooMuch, 'b', 'ignore')), added(1));
  expect(await state()).toEqual({ total: 0, notes: [] });
  const instead = command(counter, 'p1', { kind: 'note', text: 'stepped back' }, 'c-not');
  await handle(doing(command(counter, 'p1', tooMuch, 'c', instead)), added(1));
  expect(await state()).toEqual({ total: 0, notes: ['stepped back'] });
});

test('every effect is done though one before it failed, and doing all of them again changes nothing', async () => {
  const { handle, state } = world();
  const process = doing(
    command(counter, 'p1', tooMuch, 'a'),
    command(counter, 'p1', { kind: 'add', by: 3 }, 'b'),
  );
  for (let n = 0; n < 3; n++) await expect(handle(process, added(1))).rejects.toThrow(GiveUp);
  expect(await state()).toEqual({ total: 3, notes: [] });
});

test('a timer that fires is handled once however often it is delivered, and never before it was due', async () => {
  const { handler, timers, state } = world();
  const runtime = { now: () => 5 };
  const fire = runProcessTimer(doing(), 'alarm', { handler, runtime, timers });
  for (let n = 0; n < 2; n++) await fire({ kind: 'alarm', id: 'p1', at: 7 });
  expect(await state()).toEqual({ total: 7, notes: [] });
  expect(() => runProcessTimer(doing(), 'bell', { handler, runtime, timers })).toThrow('has no timer bell');
});

test('a reaction to a fresh commit of its own state asks for nothing newer unless something it does is not fenced', async () => {
  const log = createMemoryLog();
  let reads = 0;
  const counting: typeof log = {
    ...log,
    read: (...args) => {
      reads++;
      return log.read(...args);
    },
  };
  const handler = createHandler({ log: counting, runtime: systemRuntime });
  const writer = createHandler({ log, runtime: systemRuntime });
  await writer.execute(counter, 'p1', { kind: 'add', by: 1 }, { commandId: 'c1', actor: 'a' });
  const [fresh] = (await log.read({ category: 'counter', id: 'p1' }, { after: 0, confirm: true })).commits;
  if (fresh === undefined) throw new Error('nothing was stored');
  type Own = { readonly type: 'own'; readonly total: number };
  const done: number[] = [];
  const readsFor = async (fenced: readonly 'own'[], delivered: typeof fresh | undefined) => {
    const { timers: _, compensate: __, ...plain } = toyProcess(() => []);
    const process: Process<CounterEvent, CounterState, Own> = {
      ...plain,
      fenced,
      react: (_event, { total }) => [{ type: 'own', total }],
    };
    const execute = async ({ total }: Own) => void done.push(total);
    const reaction = runProcess(process, { timers: world().timers, execute });
    const delivery = createDecode([counter])(fresh, { attempt: 1, redriven: false, maybeHandled: false });
    const before = reads;
    const context = reactionContext(handler, 'toy', delivery.position, delivered);
    await reaction.handle(delivery as Delivery<CounterEvent>, context);
    return reads - before;
  };
  expect(await readsFor(['own'], fresh)).toBe(0);
  await writer.execute(counter, 'p1', { kind: 'add', by: 1 }, { commandId: 'c2', actor: 'a' });
  expect(await readsFor(['own'], fresh)).toBe(0);
  expect(await readsFor([], fresh)).toBe(1);
  expect(await readsFor(['own'], undefined)).toBe(1);
  expect(done).toEqual([1, 1, 2, 2]);
});
