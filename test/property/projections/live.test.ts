import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createWorld, type Faults } from '../../../src/testing/world.ts';
import { createLiveWorld, type LiveClient, type LiveWorld, type Scope, startClient } from './live-world.ts';

type Step =
  | { readonly do: 'append'; readonly order: string; readonly commits: number; readonly events: number }
  | { readonly do: 'join'; readonly scope: Scope }
  | { readonly do: 'leave'; readonly which: number }
  | { readonly do: 'restart'; readonly which: number }
  | { readonly do: 'wait'; readonly ms: number };

const orderId = fc.constantFrom('o1', 'o2', 'o3', 'o4', 'o5');
const scope: fc.Arbitrary<Scope> = fc.oneof(
  orderId.map((id): Scope => ({ of: 'order', id })),
  fc.constantFrom('odd', 'even').map((id): Scope => ({ of: 'user', id })),
);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      do: fc.constant('append' as const),
      order: orderId,
      commits: fc.constantFrom(1, 1, 1, 1, 6),
      events: fc.integer({ min: 1, max: 3 }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('join' as const), scope }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('leave' as const), which: fc.nat(7) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart' as const), which: fc.nat(1) }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.nat(500) }) },
);
const story = fc.array(step, { minLength: 5, maxLength: 120 });

async function play(live: LiveWorld, steps: readonly Step[]): Promise<void> {
  const main = live.world.runtime('main');
  const clients: LiveClient[] = [];
  for (const now of steps) {
    if (now.do === 'append') for (let i = 0; i < now.commits; i++) live.append(now.order, now.events);
    else if (now.do === 'join')
      clients.push(startClient(live, now.scope, live.world.runtime(`client-${clients.length}`)));
    else if (now.do === 'leave') clients[now.which]?.leave();
    else if (now.do === 'restart') live.restart(now.which);
    else await main.sleep(now.ms);
  }
  await main.sleep(60_000);
  const stayed = clients.filter((_, index) => !steps.some((s) => s.do === 'leave' && s.which === index));
  for (const client of clients) {
    judge(live, client, stayed.includes(client));
    client.leave();
  }
  live.stop();
  await main.sleep(1_000);
}

/** Each stretch is exactly what follows its start; the last one of a client that stayed misses nothing at its end. */
function judge(live: LiveWorld, { scope, stretches, fault }: LiveClient, complete: boolean): void {
  if (fault !== undefined) throw fault;
  const all = live.log(scope);
  const whose = `seed ${live.world.seed}, ${scope.of} ${scope.id}`;
  if (complete && scope.of === 'order') expect(stretches.length, whose).toBe(all.length === 0 ? 0 : 1);
  for (const [index, { start, seen }] of stretches.entries()) {
    const following = all.filter(({ position }) => position > start);
    const last = complete && index === stretches.length - 1;
    expect(seen, whose).toEqual(last ? following : following.slice(0, seen.length));
  }
}

const hold = (faults: Partial<Faults>, numRuns: number) =>
  fc.assert(
    fc.asyncProperty(story, fc.nat(), async (steps, seed) => {
      const world = createWorld(seed, { faults, longestDelayMs: 1_000, maxSteps: 400_000 });
      await world.run(() => play(createLiveWorld(world), steps));
    }),
    { numRuns, endOnFailure: false },
  );

test('clients that come, go and resume anywhere see every event once and in order', () => hold({}, 150));

test('the same holds while readers break off, go back, are slow, and servers are away', () =>
  hold({ staleRead: 0.2, unavailable: 0.02, brokenScan: 0.05, redelivery: 0.2, delay: 0.1 }, 250));
