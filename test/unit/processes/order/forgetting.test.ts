import { expect, test } from 'vitest';
import { email } from '../../../../src/domain/email.ts';
import { type UserCommand, user } from '../../../../src/domain/user.ts';
import { reactionContext } from '../../../../src/processes/engine/cause.ts';
import {
  createForgetting,
  FORGETTING,
  forgettingTimer,
  NotForgottenYet,
  OrdersOpen,
} from '../../../../src/processes/order/forgetting.ts';
import { createProcessWorld, deliveryAt, NOW } from './process-world.ts';

const DUE = NOW + 60_000;
const claims = [{ emailId: 'e1', attempt: 'a1' }];

/** A registered user, and the reaction with the orders that are open and whom it asks to have erased. */
async function worldWithAda() {
  const world = createProcessWorld();
  const open: string[] = [];
  const asked: string[] = [];
  const askToErase = async (userId: string) => void asked.push(userId);
  async function* ofUser() {
    yield* open;
  }
  const reaction = createForgetting({ ...world.deps, openOrders: { ofUser }, askToErase });
  /** The position of what became of it. */
  const command = async (given: UserCommand): Promise<number> => {
    await world.execute(user, 'ada', given);
    return world.store.head();
  };
  const handle = (position: number): Promise<void> => {
    const delivery = deliveryAt(world.store, position, reaction);
    return reaction.handle(delivery, reactionContext(world.deps.handler, reaction.name, delivery.position));
  };
  await command({
    type: 'register',
    userId: 'ada',
    email: 'ada@example.com',
    name: 'Ada',
    emailAttempt: 'a1',
    at: NOW,
  });
  await world.execute(email, 'e1', { type: 'claim', userId: 'ada', attempt: 'a1', at: NOW });
  return { world, open, asked, askToErase, command, handle };
}

const ask = { type: 'requestForgetting', reason: '', dueAt: DUE, at: NOW } as const;
const forget = { type: 'forget', claims, at: DUE } as const;

test('waits for open orders, names them, and only then arms the timer for when it is due', async () => {
  const { world, open, command, handle } = await worldWithAda();
  const asked = await command(ask);
  open.push('o1', 'o2');
  await expect(handle(asked)).rejects.toThrow(OrdersOpen);
  await expect(handle(asked)).rejects.toThrow(/ada.*o1, o2/);
  expect(world.armed).toEqual([]);
  open.length = 0;
  await handle(asked);
  expect(world.armed).toEqual([{ kind: FORGETTING, id: 'ada', at: DUE }]);
});

test('does nothing for somebody who was called off, however late it looks', async () => {
  const { world, open, command, handle } = await worldWithAda();
  const asked = await command(ask);
  open.push('o1');
  await expect(handle(asked)).rejects.toThrow(OrdersOpen);
  await command({ type: 'callOffForgetting', at: NOW });
  await handle(asked);
  expect(world.armed).toEqual([]);
});

test('releases the claims of who was forgotten, asks for the key to be destroyed, and looks again later; all of it repeatedly', async () => {
  const { world, asked, command, handle } = await worldWithAda();
  await command(ask);
  const forgotten = await command(forget);
  await handle(forgotten);
  await handle(forgotten);
  const { state } = await world.deps.handler.load(email, 'e1');
  expect(state.status).toBe('free');
  expect(asked).toEqual(['ada', 'ada']);
  expect(new Set(world.armed.map(({ at }) => at))).toEqual(new Set([DUE + 60_000]));
});

test.each([
  ['settled', [], undefined],
  ['not-erased', ['ada'], NotForgottenYet],
  ['overtaken', [], NotForgottenYet],
] as const)(
  'a timer of a person who is %s asks for erasing where it is due and comes again until all is done',
  async (stands, erased, error) => {
    const { world, asked, askToErase } = await worldWithAda();
    const seen: number[] = [];
    const forgetWhenDue = async (_: string, at: number) => {
      seen.push(at);
      return stands;
    };
    const { handler, runtime, timers } = world.deps;
    const abandonStaleClaim = async () => 'settled' as const;
    const fire = forgettingTimer.create({
      handler,
      runtime,
      timers,
      abandonStaleClaim,
      forgetWhenDue,
      askToErase,
    });
    const fired = fire({ kind: FORGETTING, id: 'ada', at: DUE });
    if (error === undefined) await fired;
    else await expect(fired).rejects.toThrow(error);
    expect(asked).toEqual(erased);
    // The clock of this process is behind the timer.
    expect(seen).toEqual([DUE]);
  },
);
