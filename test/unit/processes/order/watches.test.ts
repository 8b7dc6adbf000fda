import { describe, expect, it } from 'vitest';
import { email } from '../../../../src/domain/email.ts';
import { user } from '../../../../src/domain/user.ts';
import { numberOf, type Position } from '../../../../src/eventstore/position.ts';
import { RetryLater } from '../../../../src/processes/engine/cause.ts';
import { createCustomerWatch } from '../../../../src/processes/order/customer-watch.ts';
import {
  ClaimPending,
  createClaimTimeout,
  createEmailBackstop,
} from '../../../../src/processes/order/email-backstop.ts';
import { createOrderProcess } from '../../../../src/processes/order/order-process.ts';
import { createStockWatch } from '../../../../src/processes/order/stock-watch.ts';
import { createProcessWorld, NOW, settle } from './process-world.ts';

const cancel = { type: 'cancel', reason: '', by: 'customer', at: NOW } as const;
const reserve = { type: 'reserveStock', orderId: 'o1', quantity: 2, at: NOW } as const;

describe('the watch on reservations', () => {
  it('releases one that was made for an order that had ended', async () => {
    const world = createProcessWorld();
    await world.stock('TEA', 5);
    await world.place('TEA');
    await world.order(cancel);
    await world.product('TEA', reserve);
    await settle(world, createStockWatch(world.deps));
    expect(await world.productState('TEA')).toMatchObject({ reserved: 0n });
    expect((await world.product('TEA', reserve)).outcome).toBe('rejected');
  });

  it('leaves those of orders that go on', async () => {
    const world = createProcessWorld();
    await world.stock('TEA', 5);
    await world.place('TEA');
    await settle(world, createOrderProcess(world.deps));
    await settle(world, createStockWatch(world.deps));
    expect(await world.productState('TEA')).toMatchObject({ reserved: 2n });
  });

  it('does not believe what it knows from before the reservation', async () => {
    const world = createProcessWorld();
    await world.stock('TEA', 5);
    await world.place('TEA');
    await world.elsewhere(cancel);
    await world.product('TEA', reserve);
    await settle(world, createStockWatch(world.deps));
    expect(await world.productState('TEA')).toMatchObject({ reserved: 0n });
  });

  it('asks nobody where the order was open after the reservation, and leaves it to the end', async () => {
    const world = createProcessWorld();
    await world.stock('TEA', 5);
    await world.place('TEA');
    const consumer = createOrderProcess(world.deps);
    await settle(world, consumer);
    await world.elsewhere(cancel);
    await settle(world, createStockWatch(world.deps));
    expect(await world.productState('TEA')).toMatchObject({ reserved: 2n });
    await settle(world, consumer);
    expect(await world.productState('TEA')).toMatchObject({ reserved: 0n });
  });

  it('looks at a reservation when it is a quarter of a second old, and waits no longer for one that seems to be younger', async () => {
    const world = createProcessWorld();
    await world.stock('TEA', 5);
    await world.place('TEA');
    await world.product('TEA', reserve);
    const slept: number[] = [];
    const sleep = async (ms: number) => void slept.push(ms);
    const watch = createStockWatch({ runtime: { ...world.deps.runtime, sleep } });
    await settle(world, watch);
    world.advance(100);
    await settle(world, watch);
    world.advance(400);
    await settle(world, watch);
    world.advance(-10_000);
    await settle(world, watch);
    expect(slept).toEqual([250, 150, 250]);
  });

  it('leaves what is about to be shipped to its shipment, however late it looks', async () => {
    const world = createProcessWorld();
    await world.stock('TEA', 5);
    await world.place('TEA');
    const consumer = createOrderProcess(world.deps);
    await settle(world, consumer);
    await world.order({ type: 'ship', tracking: '', at: NOW });
    await settle(world, createStockWatch(world.deps));
    expect(await world.productState('TEA')).toMatchObject({ reserved: 2n });
    await settle(world, consumer);
    expect(await world.productState('TEA')).toMatchObject({ reserved: 0n, onHand: 3n });
  });

  it('releases one that was made after its order was shipped', async () => {
    const world = createProcessWorld();
    await world.stock('TEA', 5);
    await world.stock('CUP', 5);
    await world.place('TEA');
    await settle(world, createOrderProcess(world.deps));
    await world.order({ type: 'ship', tracking: '', at: NOW });
    await world.product('CUP', reserve);
    await settle(world, createStockWatch(world.deps));
    expect(await world.productState('CUP')).toMatchObject({ reserved: 0n });
  });
});

describe('the watch on reservations of a refunded order', () => {
  async function refunded() {
    const world = createProcessWorld();
    await world.stock('TEA', 5);
    await world.stock('CUP', 5);
    await world.place('TEA');
    const consumer = createOrderProcess(world.deps);
    await settle(world, consumer);
    const head = world.store.head();
    await world.order({ type: 'refund', reason: 'Lost', restock: false, at: NOW });
    return { world, settleRefund: () => settle(world, consumer, head) };
  }

  it('waits until its stock is settled, since what is written off must not become available', async () => {
    const { world, settleRefund } = await refunded();
    await expect(settle(world, createStockWatch(world.deps))).rejects.toThrow(RetryLater);
    await settleRefund();
    await settle(world, createStockWatch(world.deps));
    expect(await world.productState('TEA')).toMatchObject({ reserved: 0n, onHand: 3n });
  });

  it('releases one that was made after that', async () => {
    const { world, settleRefund } = await refunded();
    await settleRefund();
    const head = world.store.head();
    await world.product('CUP', reserve);
    await settle(world, createStockWatch(world.deps), head);
    expect(await world.productState('CUP')).toMatchObject({ reserved: 0n, onHand: 5n });
  });
});

describe('the watch on customers', () => {
  const register = {
    type: 'register',
    userId: 'u1',
    email: 'ada@example.com',
    name: 'Ada',
    emailAttempt: 'a',
    at: NOW,
  } as const;

  async function deactivated() {
    const world = createProcessWorld();
    await world.place('TEA');
    await world.execute(user, 'u1', register);
    await world.execute(user, 'u1', { type: 'deactivate', reason: '', at: NOW });
    const asked: string[] = [];
    async function* ofUser(userId: string, asOf: Position) {
      asked.push(`${userId} as of ${numberOf(asOf)}`);
      yield 'o1';
    }
    world.directory.status = 'deactivated';
    return { world, asked, consumer: createCustomerWatch({ ...world.deps, openOrders: { ofUser } }) };
  }

  it('cancels the open orders of a deactivated user, as of that position', async () => {
    const { world, asked, consumer } = await deactivated();
    const position = world.store.head();
    await settle(world, consumer);
    expect(asked).toEqual([`u1 as of ${position}`]);
    expect(world.calls).toEqual([`customer u1 as of ${position}`]);
    expect(await world.orderState()).toMatchObject({ status: 'cancelled' });
    const head = world.store.head();
    await settle(world, consumer);
    expect(world.store.head()).toBe(head);
  });

  it('leaves the orders of a user who has come back meanwhile', async () => {
    const { world, consumer } = await deactivated();
    world.directory.status = 'active';
    await settle(world, consumer);
    expect(await world.orderState()).toMatchObject({ status: 'placed' });
  });

  it('does not mind orders that have ended or were shipped', async () => {
    const { world, consumer } = await deactivated();
    await world.order({ type: 'expire', at: Number.MAX_SAFE_INTEGER });
    const head = world.store.head();
    await settle(world, consumer);
    expect(world.store.head()).toBe(head);
  });
});

describe('the backstop of e-mail claims', () => {
  it('arms a timer at an absolute time taken from the claim', async () => {
    const world = createProcessWorld();
    await world.execute(email, 'e1', { type: 'claim', userId: 'u1', attempt: 'a', at: NOW });
    const consumer = createEmailBackstop({ ...world.deps, staleClaimMs: 10_000 });
    world.advance(60_000);
    await settle(world, consumer);
    await settle(world, consumer);
    const timer = { kind: 'email-claim', id: 'e1', at: NOW + 15_000 };
    expect(world.armed).toEqual([timer, timer]);
  });

  it('asks again later while the claim may still be completed', async () => {
    const timer = { kind: 'email-claim', id: 'e1', at: NOW };
    const asked: string[] = [];
    const answers = ['pending', 'settled'] as const;
    const lookAgain = createClaimTimeout(async (emailId) => {
      asked.push(emailId);
      return answers[asked.length - 1] ?? 'settled';
    });
    await expect(lookAgain(timer)).rejects.toThrow(ClaimPending);
    await lookAgain(timer);
    expect(asked).toEqual(['e1', 'e1']);
  });
});
