import fc from 'fast-check';
import { expect, test } from 'vitest';
import { order } from '../../../src/domain/order.ts';
import {
  type Asked,
  createReactWorld,
  type PlannedOrder,
  type ReactWorld,
  react,
  type Work,
} from './react-world.ts';

const ORDERS = ['o0', 'o1', 'o2'];
const STOCK = 5;

const planned: fc.Arbitrary<PlannedOrder> = fc.record({
  customer: fc.constantFrom('active', 'active', 'active', 'unknown'),
  token: fc.constantFrom(
    ...['tok_success', 'tok_success', 'tok_declined', 'tok_timeout', 'tok_never'],
    ...['tok_fail_2', 'tok_slow_50', 'tok_late', 'tok_capture_declined'],
  ),
  quantities: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 2 }),
  begunBefore: fc.nat(3).map((n) => n === 0),
});

const which = fc.nat(40);
const id = fc.constantFrom(...ORDERS);
type Step =
  | { readonly do: 'handle'; readonly id: string; readonly which: number }
  | { readonly do: 'advance'; readonly which: number }
  | { readonly do: 'crash'; readonly which: number }
  | { readonly do: 'ask'; readonly id: string; readonly what: Asked }
  | { readonly do: 'wait' };

/** Events are handled in any order and any number of times, by any number of workers that sleep and die anywhere. */
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 10,
      // The newest event more often than the others.
      arbitrary: fc.record({
        do: fc.constant('handle' as const),
        id,
        which: fc.oneof(fc.constant(0), which),
      }),
    },
    { weight: 40, arbitrary: fc.record({ do: fc.constant('advance' as const), which }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('crash' as const), which }) },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant('ask' as const),
        id,
        what: fc.constantFrom<Asked[]>('cancel', 'ship', 'ship', 'expire', 'refund', 'refund', 'write-off'),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('wait' as const) }) },
  ),
  { maxLength: 200, size: 'max' },
);

/** Tries after which a provider that never answers is given up, and the deadline comes. */
const TRIES = 5;

/**
 * The engine brings everything to its end: each event once more, in order; then the deadlines; then the sleepers wake.
 * @returns the tokens of the orders that only their deadline ended
 */
function comeToRest(world: ReactWorld, sleeping: Work[]): readonly string[] {
  const finish = (work: Work): boolean => {
    for (;;) {
      const result = work.advance();
      if (result !== 'going') return result === 'done';
    }
  };
  const handleAll = (of: string): void => {
    for (let index = 0; index < world.events(of).length; index++) {
      for (let attempt = 0; attempt < TRIES && !finish(world.handle(of, index)); attempt++)
        world.passTime(60);
    }
  };
  for (const each of ORDERS) handleAll(each);
  const late = world.waiting();
  for (const each of ORDERS) world.ask(each, 'expire');
  for (const each of ORDERS) handleAll(each);
  for (const work of sleeping) finish(work);
  for (const each of ORDERS) handleAll(each);
  return late;
}

function play(world: ReactWorld, schedule: readonly Step[]): Work[] {
  const works: Work[] = [];
  for (const step of schedule) {
    if (step.do === 'ask') world.ask(step.id, step.what);
    else if (step.do === 'wait') world.passTime(60);
    else if (step.do === 'handle') {
      const { length } = world.events(step.id);
      works.push(world.handle(step.id, length - 1 - (step.which % length)));
    } else {
      const at = step.which % Math.max(1, works.length);
      if (step.do === 'crash' || works[at]?.advance() !== 'going') works.splice(at, 1);
    }
  }
  return works;
}

const schedules = [fc.tuple(planned, planned, planned), steps] as const;

test('whatever is interleaved, repeated, late or lost, no order is stuck, and stock and money are what the orders say', () => {
  const seen = new Set<string>();
  fc.assert(
    fc.property(...schedules, (orders, schedule) => {
      const world = createReactWorld(orders, STOCK);
      const late = comeToRest(world, play(world, schedule));
      expect(world.wrong()).toEqual([]);
      // Whoever has an answer from the provider needs no deadline.
      expect(late.filter((token) => token !== 'tok_never')).toEqual([]);
      for (const { $typeName } of ORDERS.flatMap(world.events)) seen.add($typeName.split('.').at(-1) ?? '');
    }),
    { numRuns: 1_000 },
  );
  // Schedules that all end alike would prove little.
  const all = order.events.map(({ typeName }) => typeName.split('.').at(-1));
  expect([...seen].sort()).toEqual(all.filter((name) => name !== 'OrderDelivered').sort());
});

const FORGOTTEN = [
  ...(['validate-customer', 'reserve-stock', 'authorise-payment', 'capture-payment'] as const),
  ...(['return-payment', 'release-stock', 'ship-stock'] as const),
  ...(['refund-payment', 'return-stock', 'write-off-stock'] as const),
];

test.each(FORGOTTEN)('a process that forgets to %s is found', (forgotten) => {
  const forgetful: typeof react = (event, state) =>
    react(event, state).filter(({ type }) => type !== forgotten);
  const finds = fc.property(...schedules, (orders, schedule) => {
    const world = createReactWorld(orders, STOCK, forgetful);
    const late = comeToRest(world, play(world, schedule));
    return world.wrong().length === 0 && late.every((token) => token === 'tok_never');
  });
  expect(fc.check(finds, { numRuns: 2_000, endOnFailure: true }).failed).toBe(true);
});
