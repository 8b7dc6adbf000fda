import { describe, expect, it } from 'vitest';
import { noUser, type UserCommand, user } from '../../../src/domain/user.ts';
import { appendEvents } from '../../../src/eventstore/append-events.ts';
import type { Bucket } from '../../../src/eventstore/bucket.ts';
import { codecOf } from '../../../src/eventstore/codec/event-codec.ts';
import { part } from '../../../src/eventstore/commit-all.ts';
import { LogUnavailable } from '../../../src/eventstore/errors.ts';
import { loadAt } from '../../../src/eventstore/fold.ts';
import { createHandler } from '../../../src/eventstore/handler.ts';
import { createPersonKeys } from '../../../src/eventstore/personal/bucket-keys.ts';
import { createMasterKeys } from '../../../src/eventstore/personal/master-keys.ts';
import { createPersonalData } from '../../../src/eventstore/personal/personal-data.ts';
import { isSealed } from '../../../src/eventstore/personal/sealed-text.ts';
import { createMemoryBucketStore, openMemoryBucket } from '../../../src/testing/memory-bucket.ts';
import { createMemoryStore, openMemoryLog } from '../../../src/testing/memory-log.ts';
import { manualRuntime, mapStore, meta, rest } from './kernel.ts';

const AT = 1_900_000_000_000;
const register: UserCommand = {
  type: 'register',
  userId: 'u1',
  email: 'ada@example.com',
  name: 'Ada',
  emailAttempt: 'a1',
  at: AT,
};
const rename = (name: string): UserCommand => ({ type: 'rename', name, at: AT });
const FORGOTTEN = new TextEncoder().encode('{"forgotten":1}');

/** Processes on one log and one bucket of keys, whose calls can be counted and spoilt. */
function service() {
  const store = createMemoryStore();
  const stored = createMemoryBucketStore('keys');
  const runtime = manualRuntime();
  const calls: string[] = [];
  let away = false;
  const plain = openMemoryBucket(stored);
  const asked = (what: string): void => {
    calls.push(what);
    if (away) throw new LogUnavailable('the keys');
  };
  const bucket: Bucket = {
    ...plain,
    get: async (key, options) => {
      asked(`get ${key}${options?.leader === true ? ' of the leader' : ''}`);
      return plain.get(key, options);
    },
    write: async (row) => {
      asked(`write ${row.key}`);
      return plain.write(row);
    },
  };
  const personalOf = (encrypt: boolean) => {
    const masters = createMasterKeys(new Uint8Array(32).fill(1));
    return createPersonalData({ keys: createPersonKeys({ bucket, masters, runtime }), encrypt, runtime });
  };
  const start = (encrypt = true, snapshots = mapStore()) => {
    const onWrong = (): never => {
      throw new Error('a wrong snapshot');
    };
    const log = openMemoryLog(store);
    const settings = { verifyShare: 1, fewestCommands: 2 };
    const personal = personalOf(encrypt);
    return createHandler({ log, runtime, personal, snapshots: { store: snapshots, settings, onWrong } });
  };
  return {
    store,
    calls,
    runtime,
    log: openMemoryLog(store),
    personal: personalOf(true),
    start,
    setAway: (next: boolean) => {
      away = next;
    },
    forget: async (person: string) => {
      const revision = stored.last(person)?.revision ?? 0;
      stored.put([{ key: person, value: FORGOTTEN, expectedRevision: revision }]);
      runtime.advance(2_000);
    },
    lose: async (person: string) => {
      const revision = stored.last(person)?.revision ?? 0;
      stored.put([{ key: person, value: undefined, expectedRevision: revision }]);
      runtime.advance(2_000);
    },
  };
}

const bytesOf = (store: ReturnType<typeof createMemoryStore>): string =>
  Array.from({ length: store.head() }, (_, i) => store.at(i + 1))
    .flatMap((commit) => commit?.decisions ?? [])
    .flatMap(({ events }) => events)
    .map(({ data, sealed }) => Buffer.concat([data, ...sealed.map((s) => s.sealed)]).toString('latin1'))
    .join('\n');

const unavailable = { code: 'keys/unavailable', retryable: true };

describe('a command on an aggregate with personal data', () => {
  it('is stored sealed, and answered in plain', async () => {
    const { store, start } = service();
    const handler = start();
    const answer = await handler.execute(user, 'u1', register, meta('c1'), { assumeNew: true });
    expect(answer).toMatchObject({
      outcome: 'accepted',
      state: { name: 'Ada', email: 'ada@example.com' },
      events: [{ name: 'Ada' }],
    });
    expect(bytesOf(store)).not.toMatch(/Ada|ada@/);
    expect(store.at(1)?.decisions[0]?.events[0]?.encryption?.algorithm).toBe('fields-v1');
  });

  it('makes the key before the commit, in one write, and asks no more within the lease', async () => {
    const { calls, start } = service();
    const handler = start();
    await handler.execute(user, 'u1', register, meta('c1'), { assumeNew: true });
    await handler.execute(user, 'u1', rename('Eve'), meta('c2'));
    expect(calls).toEqual(['write u1']);
  });

  it('makes no key when it is refused, has nothing to do or holds no personal text', async () => {
    const { calls, start } = service();
    const handler = start();
    expect(await handler.execute(user, 'u1', { ...register, email: 'x' }, meta('c1'))).toMatchObject({
      outcome: 'rejected',
    });
    const abandon = { type: 'abandonRegistration', userId: 'u1', emailAttempt: 'a', at: AT } as const;
    expect(await handler.execute(user, 'u1', abandon, meta('c2'))).toMatchObject({ outcome: 'accepted' });
    expect(calls).toEqual([]);
  });

  it('is decided on open texts, warm and cold', async () => {
    const { start } = service();
    await start().execute(user, 'u1', register, meta('c1'));
    for (const handler of [start(), start()])
      expect(await handler.execute(user, 'u1', rename('Ada'), meta('c2'))).toMatchObject({
        outcome: 'unchanged',
        state: { name: 'Ada' },
      });
  });

  it('leaves a state in memory and in snapshots that holds what the log holds', async () => {
    const { start, log } = service();
    const snapshots = mapStore();
    const handler = start(true, snapshots);
    await handler.execute(user, 'u1', register, meta('c1'));
    for (let i = 0; i < 20; i++) await handler.execute(user, 'u1', rename(`Ada ${i}`), meta(`r${i}`));
    await rest();
    await handler.close();
    expect(snapshots.entries.size).toBeGreaterThan(0);
    const kept = [...snapshots.entries.values()].map((bytes) => Buffer.from(bytes).toString('latin1'));
    expect(kept.join()).not.toMatch(/Ada|ada@/);
    const { state } = await loadAt(log, user, 'u1', {});
    expect('name' in state && isSealed(state.name)).toBe(true);
    const next = start(true, snapshots);
    expect(await next.load(user, 'u1')).toMatchObject({ state: { name: 'Ada 19' } });
  });

  it('that is repeated is answered in plain from the log', async () => {
    const { start } = service();
    const first = await start().execute(user, 'u1', register, meta('c1'));
    await start().execute(user, 'u1', rename('Eve'), meta('c2'));
    const again = await start().execute(user, 'u1', register, meta('c1'));
    expect(again).toEqual({ ...first, repeated: true });
    expect(await start().find(user, 'u1', meta('c1'))).toEqual(again);
  });

  it('stores nothing while the keys are away, and is stored afterwards', async () => {
    const { store, start, setAway } = service();
    setAway(true);
    const handler = start();
    await expect(handler.execute(user, 'u1', register, meta('c1'))).rejects.toMatchObject(unavailable);
    expect(store.head()).toBe(0);
    setAway(false);
    expect(await handler.execute(user, 'u1', register, meta('c1'))).toMatchObject({ outcome: 'accepted' });
    setAway(true);
    await expect(start().load(user, 'u1')).rejects.toMatchObject(unavailable);
    await expect(start().execute(user, 'u1', rename('Eve'), meta('c2'))).rejects.toMatchObject(unavailable);
    expect(store.head()).toBe(1);
  });

  it('goes on with a key that is known until its lease ends, and not longer', async () => {
    const { start, setAway, runtime } = service();
    const handler = start();
    await handler.execute(user, 'u1', register, meta('c1'));
    setAway(true);
    runtime.advance(1_900);
    expect(await handler.load(user, 'u1')).toMatchObject({ state: { name: 'Ada' } });
    runtime.advance(100);
    await expect(handler.load(user, 'u1')).rejects.toMatchObject(unavailable);
  });

  it('takes a key that is lost for unavailable, and makes no other', async () => {
    const { store, start, lose } = service();
    await start().execute(user, 'u1', register, meta('c1'));
    await lose('u1');
    await expect(start().execute(user, 'u1', rename('Eve'), meta('c2'))).rejects.toMatchObject(unavailable);
    expect(store.head()).toBe(1);
  });

  it('is refused for who was forgotten, whose texts are gone; what names them not is still decided', async () => {
    const { start, forget, personal, log } = service();
    await start().execute(user, 'u1', register, meta('c1'));
    await forget('u1');
    const handler = start();
    expect(await handler.load(user, 'u1')).toMatchObject({
      state: { name: 'forgotten', email: 'forgotten' },
    });
    const renamed = handler.execute(user, 'u1', rename('Eve'), meta('c2'));
    await expect(renamed).rejects.toMatchObject({ code: 'person/forgotten', retryable: false });
    const deactivate: UserCommand = { type: 'deactivate', reason: '', at: AT };
    expect(await handler.execute(user, 'u1', deactivate, meta('c3'))).toMatchObject({ outcome: 'accepted' });
    expect(await personal.open((await loadAt(log, user, 'u1', {})).state)).toMatchObject({
      name: 'forgotten',
      status: 'deactivated',
    });
  });

  it('is stored in plain where that is not switched on, also on what is sealed', async () => {
    const { store, start } = service();
    await start(true).execute(user, 'u1', register, meta('c1'));
    const reading = start(false);
    expect(await reading.execute(user, 'u1', rename('Ada'), meta('c2'))).toMatchObject({
      outcome: 'unchanged',
    });
    expect(await reading.execute(user, 'u1', rename('Eve'), meta('c3'))).toMatchObject({
      state: { name: 'Eve' },
    });
    expect(bytesOf(store)).toContain('Eve');
    expect(await start(true).load(user, 'u1')).toMatchObject({
      state: { name: 'Eve', email: 'ada@example.com' },
    });
  });

  it('seals on what was stored in plain before', async () => {
    const { store, start, calls } = service();
    await start(false).execute(user, 'u1', register, meta('c1'));
    const handler = start();
    await handler.execute(user, 'u1', rename('Eve'), meta('c2'));
    expect(calls).toEqual(['write u1']);
    expect(bytesOf(store)).not.toContain('Eve');
    expect(await handler.load(user, 'u1')).toMatchObject({
      state: { name: 'Eve', email: 'ada@example.com' },
    });
  });

  it('is sealed also where many are stored as one commit, on several aggregates, or as they are', async () => {
    const { store, start } = service();
    const handler = start();
    const names = ['A1', 'A2', 'A3'].map((name) => `Ada ${name}`);
    const all = await Promise.all([
      handler.execute(user, 'u1', register, meta('c0')),
      ...names.map((name) => handler.execute(user, 'u1', rename(name), meta(name))),
    ]);
    expect(all.map(({ outcome }) => outcome)).toEqual(all.map(() => 'accepted'));
    expect(all.map((a) => 'state' in a && 'name' in a.state && a.state.name)).toEqual(['Ada', ...names]);
    const both = [part(user, 'u1', rename('Ada B')), part(user, 'u2', { ...register, userId: 'u2' })];
    expect(await handler.commitAll(both, meta('both'))).toMatchObject({ outcome: 'accepted' });
    const answer = user.decide({ ...register, userId: 'u3' }, noUser);
    if ('code' in answer) throw new Error(answer.message);
    expect(await appendEvents(handler, user, 'u3', answer, meta('raw'))).toMatchObject({
      outcome: 'accepted',
    });
    expect(bytesOf(store)).not.toMatch(/Ada|ada@/);
    for (const id of ['u2', 'u3'])
      expect(await handler.load(user, id)).toMatchObject({ state: { email: 'ada@example.com' } });
  });

  it('cannot be decided by a process without keys, which folds it all the same', async () => {
    const { start, log, runtime } = service();
    await start().execute(user, 'u1', register, meta('c1'));
    const keyless = createHandler({ log, runtime });
    await expect(keyless.execute(user, 'u1', rename('Eve'), meta('c2'))).rejects.toMatchObject(unavailable);
    expect(await loadAt(log, user, 'u1', {})).toMatchObject({ state: { status: 'active' } });
  });
});

describe('what was sealed', () => {
  it('is opened anywhere in plain data with one get for each person, through the leader', async () => {
    const { start, personal, log, calls } = service();
    await start().execute(user, 'u1', register, meta('c1'));
    await start().execute(user, 'u2', { ...register, userId: 'u2', name: 'Eve' }, meta('c2'));
    const states = await Promise.all(['u1', 'u2'].map(async (id) => (await loadAt(log, user, id, {})).state));
    calls.length = 0;
    const opened = await personal.open({ items: [...states, ...states] });
    expect(opened.items.map((s) => 'name' in s && s.name)).toEqual(['Ada', 'Eve', 'Ada', 'Eve']);
    expect(calls).toEqual(['get u1 of the leader', 'get u2 of the leader']);
    const plain = { items: [{ name: 'x' }] };
    expect(await personal.open(plain)).toBe(plain);
  });

  it('is opened within JSON to the bytes that it would have had in plain', async () => {
    const { start, personal, log } = service();
    const name = 'Ada "the \\u0001" Käse';
    await start().execute(user, 'u1', { ...register, name }, meta('c1'));
    const { state } = await loadAt(log, user, 'u1', {});
    const row = { id: 'u1', name: 'name' in state ? state.name : '', note: '"\\u0001abc"', n: 1 };
    const json = Buffer.from(JSON.stringify(row));
    const opened = await personal.openJson(json);
    expect(Buffer.from(opened).toString()).toBe(JSON.stringify({ ...row, name }));
    const plain = Buffer.from(JSON.stringify({ note: row.note }));
    expect(await personal.openJson(plain)).toBe(plain);
  });

  it('is left empty and said to be unreadable in a list only where that key is missing, not while keys are away', async () => {
    const { start, personal, log, lose, forget, setAway, runtime } = service();
    await start().execute(user, 'u1', register, meta('c1'));
    const { state } = await loadAt(log, user, 'u1', {});
    const json = Buffer.from(JSON.stringify({ id: 'u1', name: 'name' in state && state.name }));
    const listed = async () => JSON.parse(Buffer.from(await personal.openListed(json)).toString());
    expect(await listed()).toEqual({ id: 'u1', name: 'Ada' });
    await lose('u1');
    expect(await listed()).toEqual({ id: 'u1', name: '', unreadable: true });
    await expect(personal.openJson(json)).rejects.toMatchObject(unavailable);
    await forget('u1');
    expect(await listed()).toEqual({ id: 'u1', name: 'forgotten' });
    runtime.advance(2_000);
    setAway(true);
    await expect(personal.openListed(json)).rejects.toMatchObject(unavailable);
  });

  it('is told apart from other texts by its first character alone', () => {
    expect([...'aZ 0{"é\u0000\u0002'].map(isSealed)).toEqual(Array(9).fill(false));
    expect(codecOf(user).personal).toBe(true);
  });
});
