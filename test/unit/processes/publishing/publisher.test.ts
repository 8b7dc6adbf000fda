import { create } from '@bufbuild/protobuf';
import { StringValueSchema } from '@bufbuild/protobuf/wkt';
import { describe, expect, it } from 'vitest';
import {
  codecOf,
  numberOf,
  type Position,
  positionAt,
  type RecordedCommit,
  recordedEvents,
} from '../../../../src/eventstore/index.ts';
import { writeSealed } from '../../../../src/eventstore/personal/sealed-text.ts';
import { type ReactionContext, RetryLater } from '../../../../src/processes/engine/cause.ts';
import type { AnyContract } from '../../../../src/processes/engine/publishing/contract.ts';
import { createPublisher, type PublicStream } from '../../../../src/processes/engine/publishing/publisher.ts';
import type { Delivery } from '../../../../src/processes/engine/reaction.ts';
import {
  added,
  type CounterEvent,
  counter,
  counterRef,
  noted,
  toyCommit,
} from '../../../../src/testing/contracts/toy.ts';
import { createMemoryBucket } from '../../../../src/testing/memory-bucket.ts';
import {
  createMemoryPublicStore,
  type MemoryPublicStore,
  openMemoryPublicStream,
} from '../../../support/memory-public-stream.ts';
import { toyContract } from '../../../support/toy-contract.ts';

const ID = 'one';
const DAY_MS = 86_400_000;
/** A publisher needs nothing of it. */
const CONTEXT = {} as ReactionContext;

function commit(
  position: number,
  events: readonly CounterEvent[],
  commitId = `c${position}`,
): Delivery<CounterEvent> {
  const recorded: RecordedCommit = {
    stream: counterRef(ID),
    position: positionAt(position),
    previous: undefined,
    commitId,
    decisions: toyCommit(commitId, events).decisions,
  };
  const { stream } = recorded;
  return {
    ...{
      stream,
      commitId,
      position: recorded.position as Position,
      attempt: 1,
      redriven: false,
      maybeHandled: false,
    },
    events: recordedEvents(recorded, codecOf<CounterEvent>(counter)),
  };
}

const FIRST = commit(3, [added(1), noted('private'), added(2), added(-1)]);
const SECOND = commit(7, [added(3), added(4)]);
const DONE = ['1 3/0 1', '2 3/2 2', '3 7/0 3', '4 7/1 4'];

const shown = ({ stored }: MemoryPublicStore): string[] =>
  stored.map(({ event: { sequence, data }, mark: { position, index } }) => {
    const value = 'value' in data ? String(data.value) : '';
    return `${sequence} ${numberOf(position)}/${index} ${value}`;
  });

class Killed extends Error {}

/** Makes the calls of a publisher die at the one with this number, before it happens or after. */
function dyingAt(at: number, when: 'before' | 'after') {
  let calls = 0;
  return {
    reached: () => calls >= at,
    around: <T extends object>(port: T): T =>
      new Proxy(port, {
        get: (target, name) => {
          const call: unknown = Reflect.get(target, name);
          if (typeof call !== 'function') return call;
          return async (...given: unknown[]) => {
            calls++;
            if (calls === at && when === 'before') throw new Killed();
            const result: unknown = await call.apply(target, given);
            if (calls === at) throw new Killed();
            return result;
          };
        },
      }),
  };
}

/** What is told where the first publisher dies at a call, and a second one is given all of it again. */
async function toldAfterDeath(at: number, when: 'before' | 'after', kept: 'for ever' | 'for a while') {
  const store = createMemoryPublicStore(() => 0);
  const marks = kept === 'for ever' ? undefined : createMemoryBucket('marks');
  const stream = openMemoryPublicStream(store);
  const dying = dyingAt(at, when);
  const deps = { contract: toyContract, log: { incarnation: 'i' }, source: '/toy' };
  const first = createPublisher({
    ...deps,
    stream: dying.around(stream),
    marks: marks && dying.around(marks),
  });
  const second = createPublisher({ ...deps, stream, marks });
  try {
    for (const delivery of [FIRST, SECOND]) await first.handle(delivery, CONTEXT);
  } catch (error) {
    expect(error).toBeInstanceOf(Killed);
  }
  // The cursor of the one that was killed may be behind both.
  for (const delivery of [FIRST, SECOND]) await second.handle(delivery, CONTEXT);
  return { told: shown(store), died: dying.reached() };
}

describe('the publisher', () => {
  it.each([
    ['for ever', 'before', 6],
    ['for ever', 'after', 6],
    ['for a while', 'before', 10],
    ['for a while', 'after', 10],
  ] as const)(
    'tells the plain map of the log once and in order, wherever it is killed (kept %s, killed %s each of its calls)',
    async (kept, when, calls) => {
      for (let at = 1; at <= calls + 1; at++) {
        const { told, died } = await toldAfterDeath(at, when, kept);
        expect(told).toEqual(DONE);
        expect(died).toBe(at <= calls);
      }
    },
  );

  it('goes on counting where all that it had told has expired, and tells none of it again', async () => {
    let now = 0;
    const store = createMemoryPublicStore(() => now, DAY_MS);
    const publisher = createPublisher({
      ...{ contract: toyContract, log: { incarnation: 'i' }, source: '/toy' },
      stream: openMemoryPublicStream(store),
      marks: createMemoryBucket('marks'),
    });
    await publisher.handle(FIRST, CONTEXT);
    now = 2 * DAY_MS;
    expect(store.kept(ID)).toEqual([]);
    await publisher.handle(FIRST, CONTEXT);
    await publisher.handle(SECOND, CONTEXT);
    expect(shown(store)).toEqual(DONE);
  });

  it('lets the one go first that was first, and is tried again', async () => {
    const store = createMemoryPublicStore(() => 0);
    const stream = openMemoryPublicStream(store);
    const deps = { contract: toyContract, log: { incarnation: 'i' }, source: '/toy' };
    const successor = createPublisher({ ...deps, stream });
    const late: PublicStream = {
      ...stream,
      last: async (id) => {
        const seen = await stream.last(id);
        await successor.handle(FIRST, CONTEXT);
        return seen;
      },
    };
    await expect(createPublisher({ ...deps, stream: late }).handle(FIRST, CONTEXT)).rejects.toThrow(
      RetryLater,
    );
    expect(shown(store)).toEqual(DONE.slice(0, 2));
  });

  it('finds by ids what was told before the log was restored, where positions mean other commits', async () => {
    const store = createMemoryPublicStore(() => 0);
    const stream = openMemoryPublicStream(store);
    const deps = { contract: toyContract, source: '/toy', stream };
    const before = createPublisher({ ...deps, log: { incarnation: 'before' } });
    for (const delivery of [FIRST, SECOND]) await before.handle(delivery, CONTEXT);
    const restored = createPublisher({ ...deps, log: { incarnation: 'restored' } });
    // The restored log ends before the second commit, and another one gets its position.
    for (const delivery of [FIRST, commit(7, [added(9)], 'another')])
      await restored.handle(delivery, CONTEXT);
    expect(shown(store)).toEqual([...DONE, '5 7/0 9']);
  });

  it('never lets a sealed text out: the commit becomes a dead letter', async () => {
    const place = {
      category: 'counter',
      id: ID,
      type: 'StringValue',
      field: 1,
      within: '',
      person: ID,
      key: 1,
    };
    const sealed = writeSealed(place, new Uint8Array([1, 2, 3]));
    const careless: AnyContract = {
      ...toyContract,
      events: [StringValueSchema],
      toPublic: { 'google.protobuf.StringValue': () => create(StringValueSchema, { value: sealed }) },
    };
    const store = createMemoryPublicStore(() => 0);
    const publisher = createPublisher({
      ...{ contract: careless, log: { incarnation: 'i' }, source: '/toy' },
      stream: openMemoryPublicStream(store),
    });
    const handled = publisher.handle(commit(1, [noted('anything')]), CONTEXT);
    await expect(handled).rejects.toMatchObject({
      name: 'GiveUp',
      message: expect.not.stringContaining(sealed),
    });
    expect(store.stored).toEqual([]);
  });
});
