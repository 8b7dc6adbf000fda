import { toBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { user } from '../../../../src/domain/user.ts';
import { commitOf } from '../../../../src/eventstore/codec/stored-commit.ts';
import type { CommandHandler } from '../../../../src/eventstore/command.ts';
import { numberOf } from '../../../../src/eventstore/position.ts';
import { CommitSchema } from '../../../../src/gen/jetledger/eventstore/v1/commit_pb.ts';
import { createAccountNotices } from '../../../../src/processes/order/account-notices.ts';
import type { OrderProcessDeps } from '../../../../src/processes/order/effect-context.ts';
import { createOrderProcess } from '../../../../src/processes/order/order-process.ts';
import { createMemoryStore, type MemoryStore } from '../../../../src/testing/memory-log.ts';
import { createProcessWorld, NOW, settle } from './process-world.ts';

type World = ReturnType<typeof createProcessWorld>;

/** The log as it was, under another incarnation. */
function restored(store: MemoryStore): MemoryStore {
  const copy = createMemoryStore({ incarnation: 'restored' });
  for (let position = 1; position <= store.head(); position++) {
    const commit = store.at(position);
    if (commit === undefined) throw new Error(`nothing at ${position}`);
    const { stream, commitId, decisions } = commit;
    copy.put(stream, copy.version(stream), toBinary(CommitSchema, commitOf(commitId, decisions)), commitId);
  }
  return copy;
}

async function handleAll(world: World, deps: OrderProcessDeps): Promise<void> {
  await settle(world, createAccountNotices(deps));
  await settle(world, createOrderProcess(deps));
}

/** What a receiver that remembers ids is told in two lives of a log, of which the second goes on from a copy. */
async function toldInTwoLives(plant: (deps: OrderProcessDeps) => OrderProcessDeps): Promise<string[]> {
  const first = createProcessWorld();
  await first.stock('TEA', 5);
  const email = 'a@example.com';
  const register = { type: 'register', userId: 'u1', email, name: 'A', emailAttempt: 'a', at: NOW } as const;
  await first.execute(user, 'u1', register);
  const second = createProcessWorld(restored(first.store));
  const seen = new Set<string>();
  const told: string[] = [];
  for (const world of [first, second]) {
    await world.place('TEA');
    await handleAll(world, plant(world.deps));
    for (const { id, kind } of world.notifications) {
      if (!seen.has(id)) told.push(kind);
      seen.add(id);
    }
  }
  expect(second.store.head()).toBe(first.store.head());
  return told;
}

const TOLD = ['welcome', 'order-confirmed', 'order-confirmed'];

test('after a restore whoever remembers ids hears of every new event, and of no old one again', async () => {
  expect(await toldInTwoLives((deps) => deps)).toEqual(TOLD);
});

test('plant: with ids that begin with the position new events of a restored log are taken for old ones', async () => {
  const told = await toldInTwoLives((deps) => ({
    ...deps,
    notifications: {
      publish: (one, of) =>
        deps.notifications.publish({ ...one, id: `${numberOf(of.position)}/${one.kind}` }, of),
    },
  }));
  expect(told).toEqual(TOLD.slice(0, -1));
});

/** An order whose reactions an earlier version began, until it was killed behind some command, and this one ended. */
async function upgradedBehind(commands: number): Promise<{ events: string[]; repeated: string[] }> {
  const world = createProcessWorld();
  await world.stock('TEA', 5);
  await world.stock('CUP', 5);
  const before = world.store.head();
  await world.place('TEA', 'CUP');
  const { handler } = world.deps;
  const captured = { outcome: 'captured', paymentId: 'p1', amountMinor: 1_800n, currency: 'EUR' } as const;
  const deps = { ...world.deps, payments: { ...world.deps.payments, capture: async () => captured } };
  let left = commands;
  const earlier: CommandHandler = {
    ...handler,
    execute: async (decider, id, command, { formerId, ...meta }, options) => {
      if (formerId === undefined) throw new Error('a command of a reaction has a former id');
      const result = await handler.execute(decider, id, command, { ...meta, commandId: formerId }, options);
      if (--left <= 0) throw new Error('killed');
      return result;
    },
  };
  const killed = settle(world, createOrderProcess(deps), 0, earlier);
  await expect(killed).rejects.toThrow('killed');
  const repeated: string[] = [];
  const now: CommandHandler = {
    ...handler,
    execute: async (decider, id, command, meta, options) => {
      const result = await handler.execute(decider, id, command, meta, options);
      if (result.outcome === 'accepted' && result.repeated) repeated.push(id);
      return result;
    },
  };
  await settle(world, createOrderProcess(deps), 0, now);
  return { events: world.eventsAfter(before), repeated };
}

test('what an earlier version did under ids that begin with the position is answered from the log and not done again', async () => {
  const repeated: string[][] = [];
  for (let commands = 1; commands <= 6; commands++) {
    const upgraded = await upgradedBehind(commands);
    expect(upgraded.events, `killed behind command ${commands}`).toEqual([
      'o1 OrderPlaced',
      'CUP StockReserved',
      'TEA StockReserved',
      'o1 CustomerValidated',
      'o1 OrderStockReserved',
      'o1 PaymentAuthorised',
      'o1 PaymentCaptured',
      'o1 OrderConfirmed',
    ]);
    repeated.push(upgraded.repeated);
  }
  expect(repeated).toEqual([['CUP'], ['CUP', 'TEA'], [], [], [], []]);
});
