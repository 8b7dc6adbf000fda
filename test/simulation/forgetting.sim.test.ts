import { expect, it } from 'vitest';
import { email } from '../../src/domain/email.ts';
import { user } from '../../src/domain/user.ts';
import type { CommandHandler } from '../../src/eventstore/command.ts';
import { BEGINNING } from '../../src/eventstore/position.ts';
import type { Reaction } from '../../src/processes/engine/reaction.ts';
import { emailKey } from './support/email-world.ts';
import { type Plant, runForgettingSchedule } from './support/forgetting-world.ts';

const SCHEDULES = 60;
const PLANT_SCHEDULES = 600;
const TIMEOUT_MS = 120_000;

async function firstFound(schedules: number, plant?: Plant): Promise<string | undefined> {
  for (let seed = 1; seed <= schedules; seed++) {
    const found = await runForgettingSchedule(seed, plant);
    if (found.length > 0) return `seed ${seed}: ${found.join('; ')}`;
  }
  return undefined;
}

/** The list of orders is read as it happens to be. */
const hasty: Plant['views'] = (honest) => ({
  ...honest,
  ordersOfUser: (userId, page) => honest.ordersOfUser(userId, { ...page, minPosition: BEGINNING }),
});

/** The address is free as soon as somebody asks. */
const early: Plant['reaction'] = (honest): Reaction<never> => ({
  ...honest,
  handle: async (delivery, context) => {
    const { state } = await context.handler.load(user, delivery.stream.id);
    if ('email' in state && state.forgetting !== undefined) {
      const release = {
        type: 'release',
        userId: delivery.stream.id,
        attempt: state.emailAttempt,
        at: 1,
      } as const;
      const meta = { commandId: `early ${delivery.commitId}`, actor: 'plant' };
      await context.handler.execute(email, emailKey.idOf(state.email), release, meta);
    }
    return honest.handle(delivery, context);
  },
});

/** Whoever stands in the row is erased. */
const trusting: Plant['eraser'] = (honest) => ({
  ...honest,
  load: (async (decider, id, options) => {
    const loaded = await honest.load(decider, id, options);
    return { ...loaded, state: { status: 'forgotten', forgottenAt: 1, erasedAt: undefined } };
  }) as CommandHandler['load'],
});

it(
  'who asks to be forgotten is, once its orders have ended, unless it was called off; its address is never two persons and never lost (protocol 37)',
  async () => {
    expect(await firstFound(SCHEDULES)).toBeUndefined();
  },
  TIMEOUT_MS,
);

it.each([
  ['a list of orders that nobody waits for', { views: hasty }, /was open/],
  ['an address that is free before it is too late', { reaction: early }, /have one address/],
  ['a row that is believed', { eraser: trusting }, /in the ledger and lives/],
  ['a key that nobody is asked to destroy', { askToErase: () => async () => undefined }, /never erased/],
  [
    'an end that is told before the key is destroyed',
    { destroy: () => async () => undefined },
    /while its key is there/,
  ],
] as const)(
  'is found to be broken by %s',
  async (_fault, plant, finding) => {
    expect(await firstFound(PLANT_SCHEDULES, plant)).toMatch(finding);
  },
  TIMEOUT_MS,
);
