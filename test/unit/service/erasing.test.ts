import { expect, test } from 'vitest';
import { user } from '../../../src/domain/user.ts';
import { createHandler } from '../../../src/eventstore/handler.ts';
import { systemRuntime } from '../../../src/eventstore/runtime.ts';
import { askToForgetAgain, createAskToErase, startEraser } from '../../../src/service/personal/erasing.ts';
import {
  createMemoryBucketStores,
  openMemoryBucket,
  openMemoryBuckets,
} from '../../../src/testing/memory-bucket.ts';
import { createMemoryLog } from '../../../src/testing/memory-log.ts';
import { until } from '../../../src/testing/until.ts';

const AT = 1_700_000_000_000;

async function world(forget: (person: string) => Promise<void>, ledger: readonly string[] = []) {
  const buckets = openMemoryBuckets(createMemoryBucketStores(), (store) => openMemoryBucket(store));
  const where = { buckets, prefix: 'jl' };
  // Retries are what is looked at, not how long they take.
  let ahead = 0;
  const sleep = (ms: number): Promise<void> => {
    ahead += Math.ceil(ms);
    return systemRuntime.sleep(1);
  };
  const runtime = { ...systemRuntime, now: () => systemRuntime.now() + ahead, sleep };
  const handler = createHandler({ log: createMemoryLog(), runtime: systemRuntime });
  const told: string[] = [];
  const start = () =>
    startEraser({
      ...where,
      runtime,
      handler,
      forgetting: { forget, has: async (person) => ledger.includes(person) },
      onTrouble: (what) => void told.push(what),
    });
  const meta = () => ({ commandId: runtime.id(), actor: 'test' });
  const register = (userId: string) =>
    handler.execute(
      user,
      userId,
      { type: 'register', userId, email: `${userId}@example.com`, name: 'N', emailAttempt: 'a', at: AT },
      meta(),
    );
  const forgetUser = async (userId: string) => {
    await register(userId);
    await handler.execute(user, userId, { type: 'requestForgetting', reason: '', dueAt: AT, at: AT }, meta());
    await handler.execute(user, userId, { type: 'forget', claims: [], at: AT }, meta());
  };
  const isErased = async (userId: string) => {
    const { state } = await handler.load(user, userId);
    return state.status === 'forgotten' && state.erasedAt !== undefined;
  };
  const row = async () => {
    const bucket = await buckets.open('jl_engine');
    return Buffer.from((await bucket?.get('erase'))?.value ?? []).toString();
  };
  return { where, start, ask: createAskToErase(where), register, forgetUser, isErased, row, told };
}

test('destroys the keys that it is asked for, says so in the log, and leaves nothing to do', async () => {
  const destroyed: string[] = [];
  const { start, ask, forgetUser, isErased, row } = await world(
    async (person) => void destroyed.push(person),
  );
  for (const person of ['ada', 'bob']) await forgetUser(person);
  await Promise.all([ask('ada'), ask('bob'), ask('ada')]);
  const eraser = start();
  await until('both are erased', async () => (await isErased('ada')) && (await isErased('bob')));
  await until('nothing waits', async () => (await row()) === '[]');
  await eraser.stop();
  expect(destroyed.sort()).toEqual(['ada', 'bob']);
});

test('a row alone destroys nothing: only who stands as forgotten in the log is erased', async () => {
  const destroyed: string[] = [];
  const { start, ask, register, row } = await world(async (person) => void destroyed.push(person));
  await register('eve');
  await ask('eve');
  await ask('nobody');
  const eraser = start();
  await until('nothing waits', async () => (await row()) === '[]');
  await eraser.stop();
  expect(destroyed).toEqual([]);
});

test('what fails is tried again, also by a process that starts later', async () => {
  let away = true;
  const { start, ask, forgetUser, isErased, told } = await world(async () => {
    if (away) throw new Error('the keys are away');
  });
  await forgetUser('ada');
  await ask('ada');
  const first = start();
  await until('it has failed, again and again', async () => told.length > 2);
  await first.stop();
  expect(await isErased('ada')).toBe(false);
  away = false;
  const second = start();
  await until('it is erased', () => isErased('ada'));
  await second.stop();
});

test('many who cannot be erased keep nobody else waiting', async () => {
  const persons = Array.from({ length: 40 }, (_, n) => `p${n}`);
  const { start, ask, forgetUser, isErased } = await world(async (person) => {
    if (persons.indexOf(person) < 30) throw new Error('its key cannot be destroyed');
  });
  for (const person of persons) {
    await forgetUser(person);
    await ask(person);
  }
  const eraser = start();
  const others = async () => (await Promise.all(persons.slice(30).map(isErased))).every(Boolean);
  await until('the others are erased', others);
  await eraser.stop();
});

test('who is in the ledger is forgotten in a log that was restored from before that, and gives its address up', async () => {
  const { where, start, register, isErased, row } = await world(async () => undefined, ['ada']);
  for (const person of ['ada', 'bob']) await register(person);
  await askToForgetAgain(where, ['ada', 'bob', 'nobody']);
  const eraser = start();
  await until('nothing waits', async () => (await row()) === '[]');
  await eraser.stop();
  expect([await isErased('ada'), await isErased('bob')]).toEqual([true, false]);
});
