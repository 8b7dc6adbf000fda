import { describe, expect, it } from 'vitest';
import { createGroupCommit } from '../../../src/eventstore/append/group-commit.ts';
import { fixedPolicy } from '../../../src/eventstore/append/group-commit-policy.ts';
import {
  type AppendTransport,
  appendOne,
  type PublishOutcome,
} from '../../../src/eventstore/append/resolve-append.ts';
import { added, counterRef, toyCommit } from '../../../src/testing/contracts/toy.ts';
import {
  createMemoryStore,
  createMemoryTransport,
  type MemoryStore,
} from '../../../src/testing/memory-log.ts';
import { manualRuntime } from './kernel.ts';

/** What the network does to a batch before, or instead of, its answer. */
type Spoil = (store: () => Promise<PublishOutcome>) => Promise<PublishOutcome>;

/** A process with a log in memory; `spoil` strikes batches only. */
function world(options: { slots?: number; spoil?: Spoil; store?: MemoryStore; unsendable?: string } = {}) {
  const store = options.store ?? createMemoryStore();
  const runtime = manualRuntime();
  const sent: string[][] = [];
  const honest = createMemoryTransport(store, { actor: 'main', runtime });
  const transport: AppendTransport = {
    ...honest,
    publish: async (outgoing, timeoutMs) => {
      if (outgoing.some(({ stream }) => stream.id === options.unsendable))
        throw new RangeError('a line break');
      sent.push(outgoing.map(({ stream }) => stream.id));
      const publish = () => honest.publish(outgoing, timeoutMs);
      return outgoing.length > 1 && options.spoil !== undefined ? options.spoil(publish) : publish();
    },
  };
  const grouped = createGroupCommit(transport, {
    policy: fixedPolicy(2),
    slots: options.slots ?? 1,
    now: runtime.now,
    soon: (callback) => void setImmediate(callback),
  });
  const append = (id: string, expected = 0, commitId = `of-${id}`) =>
    appendOne(
      grouped,
      { stream: counterRef(id), expected, commit: toyCommit(commitId, [added(1)]) },
      { runtime, deadlineMs: 2_000, attemptTimeoutMs: 500 },
    );
  const idsOf = (id: string) => store.ofStream(counterRef(id), 0, Infinity, 10).map((c) => c.commitId);
  return { store, sent, append, idsOf };
}

describe('appends of different aggregates at the same time', () => {
  it('share one batch, and each is told its own version', async () => {
    const { append, sent } = world();
    const results = await Promise.all(['a', 'b', 'c'].map((id) => append(id)));
    expect(results).toEqual([1, 2, 3].map((version) => ({ appended: true, version })));
    expect(sent).toEqual([['a', 'b', 'c']]);
  });

  it('go alone where there is only one', async () => {
    const { append, sent } = world();
    await append('a');
    await append('b');
    expect(sent).toEqual([['a'], ['b']]);
  });

  it('of one aggregate never share a batch, which would check both against the log before it', async () => {
    const { append, idsOf } = world();
    const results = await Promise.all([append('a', 0, 'first'), append('a', 0, 'second'), append('b')]);
    expect(results.filter((r) => r.appended)).toHaveLength(2);
    expect(idsOf('a')).toHaveLength(1);
  });

  it('wait for the batch under way and then go together', async () => {
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const { append, sent } = world({ spoil: (store) => held.then(store) });
    const first = [append('a'), append('b')];
    await new Promise((resolve) => setImmediate(resolve));
    const second = [append('c'), append('d')];
    await new Promise((resolve) => setImmediate(resolve));
    expect(sent).toEqual([['a', 'b']]);
    release();
    await Promise.all([...first, ...second]);
    expect(sent).toEqual([
      ['a', 'b'],
      ['c', 'd'],
    ]);
  });
});

describe('a conflict in a batch', () => {
  it('is the answer of its own commit only; the others are stored without it', async () => {
    const { append, store, sent } = world();
    store.put(counterRef('b'), 0, new Uint8Array(), 'of somebody else');
    const [a, b, c] = await Promise.all([append('a'), append('b'), append('c')]);
    expect(a).toEqual({ appended: true, version: 2 });
    expect(b).toEqual({ appended: false, conflict: counterRef('b') });
    expect(c).toEqual({ appended: true, version: 3 });
    expect(sent).toEqual([
      ['a', 'b', 'c'],
      ['a', 'c'],
    ]);
  });

  it('sends its aggregate alone for a while', async () => {
    const { append, store, sent } = world();
    store.put(counterRef('b'), 0, new Uint8Array(), 'of somebody else');
    await Promise.all([append('a'), append('b')]);
    sent.length = 0;
    await Promise.all([append('b', 1), append('c'), append('d')]);
    expect(sent).toEqual([['b'], ['c', 'd']]);
  });

  it('that no replica knows of yet leaves each to be asked for itself', async () => {
    const store = createMemoryStore();
    const { append, sent } = world({ store, spoil: async () => ({ conflict: true }) });
    const results = await Promise.all([append('a'), append('b')]);
    expect(results).toEqual([
      { appended: true, version: 1 },
      { appended: true, version: 2 },
    ]);
    expect(sent).toEqual([['a', 'b'], ['a'], ['b']]);
  });
});

describe('a batch that gets no answer', () => {
  const silent: PublishOutcome = { noAnswer: true };

  it('and was stored is found by each of its commits, once', async () => {
    const { append, idsOf, sent } = world({ spoil: (store) => store().then(() => silent) });
    const results = await Promise.all([append('a'), append('b')]);
    expect(results).toEqual([
      { appended: true, version: 1 },
      { appended: true, version: 2 },
    ]);
    expect([idsOf('a'), idsOf('b')]).toEqual([['of-a'], ['of-b']]);
    expect(sent.slice(1)).toEqual([['a'], ['b']]);
  });

  it('and was lost is stored commit by commit', async () => {
    const { append, idsOf } = world({ spoil: async () => silent });
    expect((await Promise.all([append('a'), append('b')])).every((r) => r.appended)).toBe(true);
    expect([idsOf('a'), idsOf('b')]).toEqual([['of-a'], ['of-b']]);
  });

  it('and arrives after its commits were sent again is refused as a whole', async () => {
    let arriveLate = async (): Promise<PublishOutcome> => silent;
    const spoil: Spoil = async (store) => {
      arriveLate = store;
      return silent;
    };
    const { append, store } = world({ spoil });
    await Promise.all([append('a'), append('b')]);
    expect(await arriveLate()).toEqual({ conflict: true });
    expect(store.head()).toBe(2);
  });

  it('and arrives when one of its commits was sent again stores the other neither twice nor never', async () => {
    const store = createMemoryStore();
    const { append, idsOf } = world({
      store,
      spoil: async (publish) => {
        // Another process takes the place of one before the late batch arrives.
        store.put(counterRef('a'), 0, new Uint8Array(), 'of somebody else');
        await publish();
        return silent;
      },
    });
    const [a, b] = await Promise.all([append('a'), append('b')]);
    expect(a).toEqual({ appended: false, conflict: counterRef('a') });
    expect(b?.appended).toBe(true);
    expect(idsOf('b')).toEqual(['of-b']);
  });
});

describe('a batch that the server has no place for', () => {
  it('is sent commit by commit', async () => {
    const { append, sent } = world({ spoil: async () => ({ refused: 'too many batches', retryable: true }) });
    expect((await Promise.all([append('a'), append('b')])).every((r) => r.appended)).toBe(true);
    expect(sent).toEqual([['a', 'b'], ['a'], ['b']]);
  });

  it('does not make one caller pay for a commit of another that cannot be sent', async () => {
    const unsendable = 'b';
    const store = createMemoryStore();
    const { append, idsOf } = world({ store, unsendable });
    const [a, b, c] = await Promise.allSettled(['a', unsendable, 'c'].map((id) => append(id)));
    expect([a?.status, b?.status, c?.status]).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect([idsOf('a'), idsOf('b'), idsOf('c')]).toEqual([['of-a'], [], ['of-c']]);
  });
});
