import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Faults } from '../../../src/eventstore/memory/faults.ts';
import { createWorld, type World } from '../../../src/eventstore/memory/scheduler.ts';
import {
  appendPlanned,
  type Batches,
  bothViews,
  createViewWorld,
  type PlannedCommit,
  plainFold,
  type ViewWorld,
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
  await last.waitUntil(views.log.head());
  await forget?.();
  // What a dead runner sent may still land.
  await runtime.sleep(5_000);
  await last.stop();
  for (const projection of bothViews) {
    expect(views.rows(projection.name), `seed ${world.seed}, ${projection.name}`).toEqual(
      plainFold(views.log, projection),
    );
  }
}

/** Kills the server of the rows of one aggregate now and then: mostly only the very last writes are gone. */
function forgetting(world: World, views: ViewWorld): () => Promise<void> {
  return async () => {
    const store = views.store('counters');
    if (store === undefined || world.random() < 0.4) return;
    await world.runtime('main').sleep(Math.floor(world.random() * 60));
    const length = store.writes.length;
    const lost = world.random() < 0.7 ? 1 + world.random() * 5 : world.random() * length;
    store.keepFirst(Math.max(0, Math.floor(length - lost)));
  };
}

function hold(faults: Partial<Faults>, batches: Batches, runs: number, forgetful = false) {
  return fc.assert(
    fc.asyncProperty(stretches, fc.nat(), async (history, seed) => {
      const world = createWorld(seed, { faults, longestDelayMs: 1_000, maxSteps: 400_000 });
      const views = createViewWorld(world, { batches });
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
  hold({ unavailable: 0.003, redelivery: 0.1, lostAck: 0.003 }, 'none', 150, true));
