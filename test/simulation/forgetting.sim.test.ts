import { create } from '@bufbuild/protobuf';
import { expect, it } from 'vitest';
import { email } from '../../src/domain/email.ts';
import { order } from '../../src/domain/order.ts';
import { user } from '../../src/domain/user.ts';
import type { CommandHandler } from '../../src/eventstore/command.ts';
import { BEGINNING } from '../../src/eventstore/position.ts';
import { UserRegisteredSchema } from '../../src/gen/jetledger/public/users/v1/users_pb.ts';
import type { UserCreated } from '../../src/gen/jetledger/user/v1/user_pb.ts';
import { users } from '../../src/processes/contracts/users.ts';
import type { Reaction } from '../../src/processes/engine/reaction.ts';
import { emailKey } from './support/email-world.ts';
import {
  type ForgettingScenario,
  forgettingScenarioOf,
  smallerForgettingScenario,
} from './support/forgetting-scenario.ts';
import { type Plant, runForgettingSchedule } from './support/forgetting-world.ts';
import { opening } from './support/personal-views-world.ts';
import { publishingPlants } from './support/publishing-world.ts';
import { describeFinding, findViolation } from './support/search.ts';

const SCHEDULES = 30;
const PLANT_SCHEDULES = 600;
/** Seeds that find what few schedules show, so that they are not searched for each time. */
const KNOWN: Readonly<Record<string, number>> = {
  'a list of orders that nobody waits for': 24,
  'an address that is free before it is too late': 25,
  'a key that nobody is asked to destroy': 25,
  'an end that is told before the key is destroyed': 25,
  'rows that are opened on their way to the bucket': 25,
  'a public event without a fence': 21,
  'a contract that tells a name': 25,
};
const TIMEOUT_MS = 120_000;

const search = { firstSeed: 1, scenarioOf: forgettingScenarioOf, smaller: smallerForgettingScenario };

const violationsIn = async (seed: number, scenario: ForgettingScenario, plant?: Plant) =>
  (await runForgettingSchedule(seed, scenario, plant)).violations;

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

/** Who is leaving has nothing to get back. */
const stingy: Plant['orders'] = (honest): Reaction<never> => ({
  ...honest,
  handle: async (delivery, context) => {
    const { state } = await context.handler.load(order, delivery.stream.id);
    const owner = state.status === 'refunded' && (await context.handler.load(user, state.userId)).state;
    if (owner && owner.status !== 'active') return;
    await honest.handle(delivery, context);
  },
});

/** The contract tells how somebody is called. */
const chatty: Plant['publisher'] = (honest) => {
  const toPublic = {
    ...users.toPublic,
    'jetledger.user.v1.UserCreated': ({ name, createdAt }: UserCreated) =>
      create(UserRegisteredSchema, { userId: name, registeredAt: createdAt }),
  };
  return { ...honest, contract: { ...users, toPublic } };
};

it(
  'who asks to be forgotten is, once its orders have ended, unless it was called off; its address is never two persons and never lost, its money is right, no row can be opened and its public events are told once (protocol 37)',
  async () => {
    const found = await findViolation({ ...search, schedules: SCHEDULES, run: violationsIn });
    expect(found && describeFinding(found)).toBeUndefined();
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
  ['a refund that is for those who stay', { orders: stingy }, /o\d failed and its payment was not returned/],
  ['rows that are opened on their way to the bucket', { buckets: opening }, /can be opened to/],
  [
    'a public event without a fence',
    { publisher: publishingPlants['a message that is published without a fence']?.deps },
    /published of ada/,
  ],
  ['a contract that tells a name', { publisher: chatty }, /would let personal data out/],
] as const)(
  'is found to be broken by %s',
  async (fault, plant, finding) => {
    const run = (seed: number, scenario: ForgettingScenario) => violationsIn(seed, scenario, plant);
    // What is found need not be made smaller here.
    const found = await findViolation({
      ...search,
      ...{ known: KNOWN[fault], schedules: PLANT_SCHEDULES, smaller: () => [], run },
    });
    expect(found?.violations.join('; ')).toMatch(finding);
  },
  TIMEOUT_MS,
);
