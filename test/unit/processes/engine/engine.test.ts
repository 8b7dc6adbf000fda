import { create, toBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { skipPosition, undoSkip } from '../../../../src/eventstore/marks/marks.ts';
import { numberOf, type Position, positionOf } from '../../../../src/eventstore/position.ts';
import type { Runtime } from '../../../../src/eventstore/runtime.ts';
import { CommitSchema } from '../../../../src/gen/jetledger/eventstore/v1/commit_pb.ts';
import { createDeadLetterPort } from '../../../../src/processes/engine/dead-letters/operator-port.ts';
import { createDecode } from '../../../../src/processes/engine/delivery.ts';
import { type Engine, startEngine } from '../../../../src/processes/engine/engine.ts';
import type { Delivery, Reaction } from '../../../../src/processes/engine/reaction.ts';
import { added, counter, counterRef, toyCommit } from '../../../../src/testing/contracts/toy.ts';
import {
  createMemoryBucketStores,
  openMemoryBucket,
  openMemoryBuckets,
} from '../../../../src/testing/memory-bucket.ts';
import { createMemoryStore, type MemoryStore, openMemoryLog } from '../../../../src/testing/memory-log.ts';
import { createWorld, type World } from '../../../../src/testing/world.ts';

function append(log: MemoryStore, id: string): number {
  const commitId = `c${log.head() + 1}`;
  const bytes = toBinary(CommitSchema, create(CommitSchema, toyCommit(commitId, [added(1)])));
  return log.put(counterRef(id), log.version(counterRef(id)), bytes, commitId) ?? 0;
}

const stores = () => createMemoryBucketStores();

function start(
  world: World,
  shared: { log: MemoryStore; kv: ReturnType<typeof stores>; actor: string },
  handle: (delivery: Delivery<never>) => Promise<void>,
  more: Partial<Reaction> & { groups?: 1 | 4; errors?: unknown[] } = {},
): { engine: Engine; buckets: ReturnType<typeof openMemoryBuckets>; runtime: Runtime } {
  const { actor, log, kv } = shared;
  const runtime = world.runtime(actor);
  const buckets = openMemoryBuckets(kv, (store) => openMemoryBucket(store, { world, actor }));
  const { groups = 4, errors = [], ...parts } = more;
  const named = { name: 'test', sources: [counter], from: 'beginning' } as const;
  const consumer: Reaction = { ...named, handle: handle as Reaction['handle'], ...parts };
  const engine = startEngine({
    log: openMemoryLog(log, { world, actor }),
    buckets,
    runtime,
    consumers: [consumer],
    settings: { prefix: 't', groups },
    onError: (_, error) => errors.push(error),
  });
  return { engine, buckets, runtime };
}

test('one poison aggregate among 1,000 parks with what follows it, and the other 999 finish', async () => {
  const world = createWorld(1, { maxSteps: 1_000_000 });
  const log = createMemoryStore();
  for (let n = 0; n < 3_000; n++) append(log, `a${n % 1_000}`);
  const handled = new Map<string, number[]>();
  let broken = true;
  await world.run(async () => {
    const shared = { log, kv: stores(), actor: 'one' };
    const { engine, buckets, runtime } = start(world, shared, async ({ stream, position }) => {
      if (broken && stream.id === 'a7') throw Object.assign(new Error('poison'), { retryable: false });
      handled.set(stream.id, [...(handled.get(stream.id) ?? []), numberOf(position)]);
    });
    while ((engine.status()[0]?.parked ?? 0) < 3 || handled.size < 999) await runtime.sleep(100);
    while (engine.status()[0]?.lag !== 0) await runtime.sleep(100);
    expect([...handled.values()].every(({ length }) => length === 3)).toBe(true);
    expect(handled.has('a7')).toBe(false);
    const port = createDeadLetterPort({ buckets, prefix: 't', runtime });
    expect((await port.list()).map(({ position, behind }) => [position, behind])).toEqual([
      [8, false],
      [1_008, true],
      [2_008, true],
    ]);
    broken = false;
    await port.redrive({ upTo: positionOf(8) }, { by: 'test' });
    while ((engine.status()[0]?.parked ?? 0) > 0) await runtime.sleep(100);
    expect(handled.get('a7')).toEqual([8, 1_008, 2_008]);
    await engine.stop();
  });
});

test('what an operator discards is given up, kept in an audit row, and what waited behind it is handled', async () => {
  const world = createWorld(2, { maxSteps: 200_000 });
  const log = createMemoryStore();
  const [first, second] = [append(log, 'x'), append(log, 'x')];
  const handled: number[] = [];
  await world.run(async () => {
    const shared = { log, kv: stores(), actor: 'one' };
    const { engine, buckets, runtime } = start(world, shared, async ({ position }) => {
      if (numberOf(position) === first) throw Object.assign(new Error('poison'), { retryable: false });
      handled.push(numberOf(position));
    });
    while ((engine.status()[0]?.parked ?? 0) < 2) await runtime.sleep(100);
    const port = createDeadLetterPort({ buckets, prefix: 't', runtime });
    await port.discard({ position: positionOf(first) }, { by: 'ada' });
    while (handled.length === 0 || engine.status()[0]?.parked !== 0) await runtime.sleep(100);
    expect(handled).toEqual([second]);
    const audits = shared.kv.stores
      .get('t_parked')
      ?.store.writes.filter(({ key }) => key.includes('.discarded.'));
    expect(Buffer.from(audits?.[0]?.value ?? []).toString()).toContain('"by":"ada"');
    await engine.stop();
  });
});

test('a stopped engine hands over at once, and its successor repeats nothing', async () => {
  const world = createWorld(3, { maxSteps: 200_000 });
  const log = createMemoryStore();
  const kv = stores();
  const handled: string[] = [];
  const by =
    (name: string) =>
    async ({ position }: { position: Position }) => {
      handled.push(`${name} ${numberOf(position)}`);
    };
  await world.run(async () => {
    append(log, 'x');
    const first = start(world, { log, kv, actor: 'one' }, by('one'));
    while (handled.length < 1) await first.runtime.sleep(50);
    await first.engine.stop();
    append(log, 'x');
    const began = world.now();
    const second = start(world, { log, kv, actor: 'two' }, by('two'));
    while (handled.length < 2) await second.runtime.sleep(50);
    expect(world.now() - began).toBeLessThan(1_000);
    await second.engine.stop();
  });
  expect(handled).toEqual(['one 1', 'two 2']);
});

test('an instance that dies with the first of two commits in hand is replaced within 10 s, and the order is kept', async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const world = createWorld(seed, { maxSteps: 200_000 });
    const log = createMemoryStore();
    const kv = stores();
    const handled: number[] = [];
    let begun = 0;
    await world.run(async () => {
      const positions = [append(log, 'x'), append(log, 'x')];
      void world.spawn('one', async (runtime) => {
        start(world, { log, kv, actor: 'one' }, async () => {
          begun++;
          // Holds it until it dies.
          await runtime.sleep(3_600_000);
        });
        await runtime.sleep(3_600_000);
      });
      const clock = world.runtime('main');
      while (begun === 0) await clock.sleep(50);
      const second = start(world, { log, kv, actor: 'two' }, async ({ position }) => {
        handled.push(numberOf(position));
      });
      await clock.sleep(world.random() * 5_000);
      expect(handled).toEqual([]);
      world.crash('one');
      const died = world.now();
      while (handled.length < 2 && world.now() - died < 10_000) await clock.sleep(50);
      expect(handled, `seed ${seed}`).toEqual(positions);
      await second.engine.stop();
    });
  }
});

test('a delivery says whether an earlier owner may have handled it, and no two events have the same id', async () => {
  const world = createWorld(6, { maxSteps: 200_000 });
  const log = createMemoryStore();
  const kv = stores();
  const given: [number, boolean][] = [];
  const ids: string[] = [];
  const note = async ({ position, maybeHandled, events }: Delivery<never>) => {
    given.push([numberOf(position), maybeHandled]);
    ids.push(...events.map(({ id }) => id));
  };
  const one = async (...[position, maybeHandled]: [number, boolean]) => {
    while (given.length < position) await world.runtime('clock').sleep(50);
    expect(given.at(-1)).toEqual([position, maybeHandled]);
  };
  await world.run(async () => {
    append(log, 'x');
    const first = start(world, { log, kv, actor: 'one' }, note, { groups: 1 });
    await one(1, false);
    append(log, 'x');
    await one(2, false);
    await first.engine.stop();
    // Nobody has handled this one, but a cursor cannot say so: one that was killed would have left the same.
    append(log, 'x');
    const second = start(world, { log, kv, actor: 'two' }, note, { groups: 1 });
    await one(3, true);
    append(log, 'x');
    await one(4, false);
    await second.engine.stop();
  });
  expect(new Set(ids).size).toBe(4);
});

test('the id of an event is of it alone, for ever: also among those of an atomic commit', () => {
  const log = createMemoryStore();
  for (const id of ['x', 'y']) {
    const bytes = toBinary(CommitSchema, create(CommitSchema, toyCommit('c1', [added(1), added(1)])));
    log.put(counterRef(id), 0, bytes, 'c1');
  }
  const decode = createDecode([counter]);
  const ids = [1, 2].flatMap((position) => {
    const commit = log.at(position);
    if (commit === undefined) throw new Error(`nothing at ${position}`);
    return decode(commit, { attempt: 1, redriven: false, maybeHandled: false }).events.map(({ id }) => id);
  });
  // Stored in command ids and known to receivers of notifications.
  expect(ids).toEqual([
    'NFWQs87bEGsnNljZkuSCx4',
    'pm_715GRMLQZ_AM52eZhVl',
    'YBaKlTbZdevJrq1pkUVBXp',
    'OHgeL7zSTUq7GRRhAlDCpW',
  ]);
});

test.each([
  ['another incarnation of the log', createMemoryStore({ incarnation: 'restored' }), 2],
  ['a position beyond the end of the log', createMemoryStore(), 0],
])('a cursor with %s stops the consumer with a clear error', async (_what, restored, commits) => {
  const world = createWorld(4, { maxSteps: 200_000 });
  const log = createMemoryStore();
  const kv = stores();
  const errors: unknown[] = [];
  let handled = 0;
  const count = async () => {
    handled++;
  };
  await world.run(async () => {
    append(log, 'x');
    append(log, 'x');
    const first = start(world, { log, kv, actor: 'one' }, count, { groups: 1 });
    while (handled < 2) await first.runtime.sleep(50);
    await first.engine.stop();
    for (let n = 0; n < commits; n++) append(restored, 'x');
    const second = start(world, { log: restored, kv, actor: 'two' }, count, { groups: 1, errors });
    while (errors.length === 0) await second.runtime.sleep(50);
    expect(second.engine.status()[0]).toMatchObject({ stopped: true, groups: [] });
    await second.engine.stop();
  });
  expect(errors).toMatchObject([{ code: 'engine/foreign-cursor' }]);
  expect(handled).toBe(2);
});

test('a policy that says stop ends the consumer where it is, and another number of groups is refused', async () => {
  const world = createWorld(5, { maxSteps: 200_000 });
  const log = createMemoryStore();
  const kv = stores();
  const errors: unknown[] = [];
  append(log, 'x');
  const fail = async () => {
    throw new Error('never');
  };
  await world.run(async () => {
    const policy = () => ({ action: 'stop' }) as const;
    const first = start(world, { log, kv, actor: 'one' }, fail, { policy, errors });
    while (errors.length < 1) await first.runtime.sleep(50);
    await first.engine.stop();
    const second = start(world, { log, kv, actor: 'two' }, fail, { groups: 1, errors });
    while (errors.length < 2) await second.runtime.sleep(50);
    await second.engine.stop();
  });
  expect(errors).toMatchObject([{ message: 'never' }, { code: 'engine/groups-differ' }]);
});

test('an idle engine does little: it renews its session and looks at nothing else', async () => {
  const world = createWorld(6, { maxSteps: 200_000 });
  await world.run(async () => {
    const shared = { log: createMemoryStore(), kv: stores(), actor: 'one' };
    const { engine, runtime } = start(world, shared, async () => undefined);
    await runtime.sleep(5_000);
    const before = world.trace().filter((line) => !line.endsWith('sleep')).length;
    await runtime.sleep(60_000);
    const operations = world.trace().filter((line) => !line.endsWith('sleep')).length - before;
    // A write, its answer and its echo in the watch, every quarter of 5 s.
    expect(operations).toBeLessThanOrEqual(3 * 50);
    await engine.stop();
  });
});

test('a commit that makes an earlier one of its aggregate needless ends the pause before the next try', async () => {
  const world = createWorld(3, { maxSteps: 100_000 });
  const log = createMemoryStore();
  const first = append(log, 'a');
  const handled: number[] = [];
  await world.run(async () => {
    const isFinal = (): boolean => log.head() > first;
    const { engine, runtime } = start(
      world,
      { log, kv: stores(), actor: 'one' },
      async ({ position }) => {
        if (!isFinal()) throw new Error('the provider is away');
        handled.push(numberOf(position));
      },
      { policy: () => ({ action: 'retry', afterMs: 30_000 }) },
    );
    while (engine.status()[0]?.retrying !== 1) await runtime.sleep(100);
    const last = append(log, 'a');
    await runtime.sleep(2_000);
    expect(handled).toEqual([first, last]);
    await engine.stop();
  });
});

test('a reaction from now on is given nothing of the past, and after a restart nothing is missing', async () => {
  const world = createWorld(8, { maxSteps: 200_000 });
  const log = createMemoryStore();
  const kv = stores();
  for (let n = 0; n < 20; n++) append(log, `a${n}`);
  const handled: number[] = [];
  const run = (actor: string) =>
    start(world, { log, kv, actor }, async ({ position }) => void handled.push(numberOf(position)), {
      from: 'now',
    });
  const settled = async ({ engine, runtime }: ReturnType<typeof run>, groups = 4) => {
    while (engine.status()[0]?.groups.length !== groups || engine.status()[0]?.lag !== 0)
      await runtime.sleep(100);
  };
  await world.run(async () => {
    const first = run('first');
    await settled(first);
    expect(handled).toEqual([]);
    await first.engine.stop();
    const missed = Array.from({ length: 8 }, (_, n) => append(log, `b${n}`));
    const second = run('second');
    while (handled.length < missed.length) await second.runtime.sleep(100);
    await settled(second);
    expect(handled.toSorted((a, b) => a - b)).toEqual(missed);
    await second.engine.stop();
  });
});

test('a foreign message is passed in its lane, handled by nobody, also behind a dead letter', async () => {
  const world = createWorld(1, { maxSteps: 1_000_000 });
  const log = createMemoryStore();
  const intrude = (id: string) => log.put(counterRef(id), log.version(counterRef(id)), Uint8Array.of(0x78));
  intrude('a');
  append(log, 'a');
  intrude('a');
  append(log, 'b');
  intrude('b');
  append(log, 'b');
  const handled: string[] = [];
  await world.run(async () => {
    const shared = { log, kv: stores(), actor: 'one' };
    const { engine, buckets, runtime } = start(world, shared, async ({ stream, position, events }) => {
      if (stream.id === 'b') throw Object.assign(new Error('poison'), { retryable: false });
      handled.push(`${stream.id} ${numberOf(position)} ${events.length}`);
    });
    while ((engine.status()[0]?.parked ?? 0) < 2 || engine.status()[0]?.lag !== 0) await runtime.sleep(100);
    append(log, 'a');
    while (handled.length < 2) await runtime.sleep(100);
    expect(handled).toEqual(['a 2 1', 'a 7 1']);
    const parked = await createDeadLetterPort({ buckets, prefix: 't', runtime }).list();
    expect(parked.map(({ position }) => position)).toEqual([4, 6]);
    await engine.stop();
  });
});

test('a mark lets a damaged commit pass: one that is met, and one that is a dead letter with others behind it', async () => {
  const world = createWorld(1, { maxSteps: 1_000_000 });
  const log = createMemoryStore();
  const damage = (id: string) =>
    log.put(counterRef(id), log.version(counterRef(id)), Uint8Array.of(0x78), 'x') ?? 0;
  const marks = world.runtime('operator');
  const skip = (position: number) =>
    skipPosition(openMemoryLog(log), marks, {
      position: positionOf(position),
      reason: 'a disk lied',
      action: `a${position}`,
    });
  append(log, 'a');
  const [known, late] = [damage('a'), damage('b')];
  append(log, 'b');
  append(log, 'a');
  const handled: string[] = [];
  await world.run(async () => {
    await skip(known);
    const shared = { log, kv: stores(), actor: 'one' };
    const { engine, buckets, runtime } = start(world, shared, async ({ stream, position }) => {
      handled.push(`${stream.id} ${numberOf(position)}`);
    });
    const port = createDeadLetterPort({ buckets, prefix: 't', runtime });
    while ((engine.status()[0]?.parked ?? 0) < 2 || engine.status()[0]?.lag !== 0) await runtime.sleep(100);
    expect((await port.list()).map(({ position, behind }) => [position, behind])).toEqual([
      [late, false],
      [4, true],
    ]);
    expect(handled).toEqual(['a 1', 'a 5']);
    await skip(late);
    while ((engine.status()[0]?.parked ?? 0) > 0) await runtime.sleep(100);
    expect(handled).toEqual(['a 1', 'a 5', 'b 4']);
    expect(await port.list()).toEqual([]);
    // What is done is not undone.
    await undoSkip(openMemoryLog(log), marks, { position: positionOf(late), reason: 'again', action: 'u' });
    append(log, 'b');
    while (handled.length < 4) await runtime.sleep(100);
    expect((await port.list()).length).toBe(0);
    await engine.stop();
  });
});

test('what an aggregate holds back is armed before a dead letter of it is stored, the rest when the engine stops', async () => {
  const world = createWorld(11, { maxSteps: 200_000 });
  const log = createMemoryStore();
  const kv = stores();
  for (const id of ['x', 'y', 'x']) append(log, id);
  const armed: string[] = [];
  const parked = () =>
    kv.stores.get('t_parked')?.store.writes.filter(({ key }) => key.includes('counter.x')) ?? [];
  const timers = {
    arm: async ({ id }: { readonly id: string }) =>
      void armed.push(`${id} beside ${parked().length} dead letters`),
    disarm: async () => undefined,
  };
  await world.run(async () => {
    const handle: Reaction['handle'] = async ({ stream: { id }, position }, context) => {
      if (numberOf(position) === 3) throw Object.assign(new Error('poison'), { retryable: false });
      await context.timers?.arm({ kind: 'later', id, at: world.now() + 900_000 });
    };
    const { engine, runtime } = start(world, { log, kv, actor: 'one' }, async () => undefined, {
      handle,
      timers,
    });
    while ((engine.status()[0]?.parked ?? 0) < 1) await runtime.sleep(50);
    expect(armed).toEqual(['x beside 0 dead letters']);
    await engine.stop();
    expect(armed).toEqual(['x beside 0 dead letters', 'y beside 1 dead letters']);
  });
});
