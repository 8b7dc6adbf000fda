import fc from 'fast-check';
import { expect, test } from 'vitest';
import { positionOf } from '../../../src/eventstore/position.ts';
import { createWorld, type Faults, type World } from '../../../src/testing/world.ts';
import {
  allViews,
  appendPlanned,
  type Batches,
  createViewWorld,
  type PlannedCommit,
  plainFold,
  type ViewWorld,
  type WorldOptions,
} from './world-of-views.ts';

const commit: fc.Arbitrary<PlannedCommit> = fc.record({
  id: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g'),
  decisions: fc.array(
    fc.array(fc.oneof(fc.integer({ min: 1, max: 9 }), fc.constantFrom('x', 'y', 'gone')), {
      minLength: 1,
      maxLength: 3,
    }),
    { minLength: 1, maxLength: 2 },
  ),
});

/** What happens to the runners between two stretches of the history. */
type Happening = 'nothing' | 'kill' | 'restart' | 'second' | 'wait';

interface Stretch {
  readonly commits: readonly PlannedCommit[];
  readonly happening: Happening;
}

const stretches = fc.array(
  fc.record({
    commits: fc.array(commit, { maxLength: 12 }),
    happening: fc.constantFrom<Happening>('nothing', 'kill', 'restart', 'second', 'wait'),
  }),
  { minLength: 1, maxLength: 8 },
);

/** Lets one or two runners live through the history, and then one more bring it to its end. */
async function liveThrough(
  world: World,
  views: ViewWorld,
  history: readonly Stretch[],
  forget?: () => Promise<void>,
): Promise<void> {
  let started = 0;
  let actors: string[] = [];
  const clock = world.runtime('main');
  const start = () => {
    const actor = `runner-${++started}`;
    actors.push(actor);
    void world.spawn(actor, async (runtime) => {
      views.start(actor);
      // Lives until it is killed: its own name keeps its timers apart.
      for (;;) await runtime.sleep(1_000);
    });
  };
  const kill = () => {
    for (const actor of actors) world.crash(actor);
    actors = [];
  };
  start();
  for (const { commits, happening } of history) {
    for (const planned of commits) {
      appendPlanned(views.log, planned);
      if (world.random() < 0.5) await clock.sleep(Math.floor(world.random() * 20));
    }
    if (happening === 'wait') await clock.sleep(Math.floor(world.random() * 1_000));
    if (happening === 'kill' || happening === 'restart') kill();
    if (happening === 'restart' || (happening === 'second' && actors.length < 2)) start();
    await forget?.();
  }
  kill();
  await finish(world, views, forget);
}

async function finish(world: World, views: ViewWorld, forget?: () => Promise<void>): Promise<void> {
  const runtime = world.runtime('last');
  const last = views.start('last');
  // Where the groups are shared, the dead runners' come over once they have been silent for long enough.
  // It may lose some once more while NATS is away, and then takes those over again.
  const hasAll = (lag: number) =>
    last.status().every((view) => view.groups?.owned === view.groups?.of && view.lag <= lag);
  const within = async (ms: number, what: string, lag: number) => {
    for (const end = runtime.now() + ms; !hasAll(lag) && runtime.now() < end; ) await runtime.sleep(100);
    expect(hasAll(lag), `seed ${world.seed}: ${what} within ${ms / 1_000} s`).toBe(true);
  };
  await within(10_000, 'every group is taken over', Number.POSITIVE_INFINITY);
  await last.waitUntil(positionOf(views.log.head()));
  await forget?.();
  // What a dead runner sent may still land.
  await runtime.sleep(5_000);
  await within(30_000, 'every group is at the end', 0);
  await last.stop();
  for (const projection of allViews) {
    expect(views.rows(projection.name), `seed ${world.seed}, ${projection.name}`).toEqual(
      plainFold(views.log, projection),
    );
  }
}

/** Kills the server of the rows of one aggregate now and then: mostly only the very last writes are gone. */
function forgetting(world: World, views: ViewWorld): () => Promise<void> {
  return async () => {
    const store = views.store(world.random() < 0.5 ? 'counters' : 'fragile');
    if (store === undefined || world.random() < 0.4) return;
    await world.runtime('main').sleep(Math.floor(world.random() * 60));
    const length = store.writes.length;
    const lost = world.random() < 0.7 ? 1 + world.random() * 5 : world.random() * length;
    store.keepFirst(Math.max(0, Math.floor(length - lost)));
  };
}

function hold(
  faults: Partial<Faults>,
  batches: Batches,
  runs: number,
  { forgetful = false, ...options }: Partial<WorldOptions> & { forgetful?: boolean } = {},
) {
  return fc.assert(
    fc.asyncProperty(stretches, fc.nat(), async (history, seed) => {
      const world = createWorld(seed, { faults, longestDelayMs: 1_000, maxSteps: 400_000 });
      const views = createViewWorld(world, { ...options, batches });
      await world.run(() =>
        liveThrough(world, views, history, forgetful ? forgetting(world, views) : undefined),
      );
    }),
    { numRuns: runs, endOnFailure: false },
  );
}

const storm: Partial<Faults> = {
  staleRead: 0.2,
  lostAck: 0.02,
  lateLanding: 0.02,
  lostSend: 0.02,
  unavailable: 0.01,
  brokenScan: 0.02,
  redelivery: 0.1,
  delay: 0.1,
};

test('without faults every bucket equals the plain fold of the log', () => hold({}, 'none', 60));

test('with runners killed, restarted and doubled, every bucket equals the plain fold of the log', () =>
  hold({ crash: 0.002, redelivery: 0.2 }, 'none', 100));

test('with lost, late and repeated messages too, every bucket equals the plain fold of the log', () =>
  hold(storm, 'none', 100));

test.each<Batches>(['durable', 'all', 'told'])('with batches (%s) the guarantee is the same', (batches) =>
  hold({ ...storm, crash: 0.001 }, batches, 60),
);

test('rows of one aggregate that a killed server forgot are folded again from the log', () =>
  hold({ unavailable: 0.003, redelivery: 0.1, lostAck: 0.003 }, 'none', 150, { forgetful: true }));

test.each([4, 16, 64] as const)('with %i groups the guarantee is the same', (groups) =>
  hold({ ...storm, crash: 0.0005 }, 'durable', groups === 64 ? 15 : 50, { groups }),
);

test('instances that share the groups take over from each other, and every bucket equals the plain fold', () =>
  hold({ ...storm, crash: 0.001 }, 'none', 100, { groups: 4, shared: true }));

test('shared groups whose server forgot its newest rows are folded again from the log', () =>
  hold({ unavailable: 0.003, redelivery: 0.1 }, 'none', 80, { groups: 4, shared: true, forgetful: true }));
