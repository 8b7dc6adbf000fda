import { expect, test } from 'vitest';
import { EventStoreError } from '../../../src/eventstore/errors.ts';
import { BEGINNING, positionOf } from '../../../src/eventstore/position.ts';
import { type Page, type ReadOptions, ViewBehind } from '../../../src/projections/engine/reading.ts';
import { createWorld, type Faults, type World } from '../../../src/testing/world.ts';
import type { ReadModels } from '../../support/read-models.ts';
import { createTokensWorld, type Said, type TokensPlant, type TokensWorld, USERS } from './tokens-world.ts';

// docs/protocols.md says how to run it for longer.
const SEEDS = Number(process.env.READ_SEEDS ?? 25);
const COMMITS = 60;

/** What came of the reads of one schedule. */
interface Tally {
  fresh: number;
  behind: number;
  readonly stale: string[];
}

type Json = {
  readonly id: string;
  readonly sku: string;
  readonly name: string;
  readonly price: { readonly amountMinor: number };
};
const jsonOf = (bytes: Uint8Array | undefined): Json =>
  JSON.parse(Buffer.from(bytes ?? []).toString()) as Json;
const itemsOf = ({ items }: Page): Json[] => items.map(jsonOf);

/** A query with a token, and whether its answer shows a state that is at least as new. */
type Query = (
  reads: ReadModels,
  history: readonly Said[],
  options: ReadOptions & { token: number },
) => Promise<boolean>;

/** The aggregate as of the token, and everything that came of it since: any of these may be shown. */
function since<Of extends Said['of']>(history: readonly Said[], token: number, of: Of, id: string) {
  const own = history.flatMap((said, index) =>
    said.of === of && said.id === id
      ? [{ said: said as Extract<Said, { of: Of }>, position: index + 1 }]
      : [],
  );
  const first = own.findLastIndex(({ position }) => position <= token);
  return first < 0 ? undefined : own.slice(first);
}

const idsOf = (history: readonly Said[], token: number, of: Said['of']): string[] => [
  ...new Set(history.slice(0, token).flatMap((said) => (said.of === of ? [said.id] : []))),
];

const queries: Readonly<Record<string, Query>> = {
  'a user': async (reads, history, options) => {
    const id = USERS[options.token % USERS.length] ?? '';
    const row = await reads.user(id, options);
    const states = since(history, options.token, 'user', id);
    if (states === undefined) return true;
    const shown = states.find(({ position }) => positionOf(position) === row?.position);
    return shown !== undefined && shown.said.name === jsonOf(row?.json).name;
  },
  'products by name': async (reads, history, options) => {
    const items = itemsOf(await reads.products({ namePrefix: 'tea' }, { ...options, limit: 200 }));
    return idsOf(history, options.token, 'product').every((sku) => {
      const price = items.find((item) => item.sku === sku)?.price.amountMinor;
      return since(history, options.token, 'product', sku)?.some(({ said }) => said.price === price);
    });
  },
  "a user's orders": async (reads, history, options) => {
    const userId = USERS[options.token % USERS.length] ?? '';
    const items = itemsOf(await reads.ordersOfUser(userId, { ...options, limit: 200 }));
    const placed = history
      .slice(0, options.token)
      .flatMap((said) =>
        said.of === 'order' && said.userId === userId && said.status === 'placed' ? [said.id] : [],
      );
    const shown = items.map(({ id }) => id);
    return placed.reverse().join() === shown.slice(shown.length - placed.length).join();
  },
  'orders by status': async (reads, history, options) => {
    const filter = { status: 'placed', sort: 'placedAt' } as const;
    const shown = itemsOf(await reads.orders(filter, { ...options, limit: 200 })).map(({ id }) => id);
    return idsOf(history, options.token, 'order').every((id) => {
      const states = since(history, options.token, 'order', id) ?? [];
      if (states[0]?.said.status === 'confirmed') return !shown.includes(id);
      // Confirmed since: in the list or out of it.
      return states.length > 1 || shown.includes(id);
    });
  },
};

/** Asks again and again, with the newest token or an older one. */
async function ask(
  world: World,
  views: TokensWorld,
  reads: ReadModels,
  tally: Tally,
  pause: () => Promise<void>,
) {
  const { history } = views;
  const names = Object.keys(queries);
  const head = history.length;
  const token = world.random() < 0.6 ? head : 1 + Math.floor(world.random() * head);
  const name = names[Math.floor(world.random() * names.length)] ?? '';
  try {
    if (await queries[name]?.(reads, history, { token, minPosition: positionOf(token), waitMs: 1_500 }))
      tally.fresh++;
    else tally.stale.push(`seed ${world.seed}: ${name} at ${token}`);
  } catch (error) {
    if (!(error instanceof ViewBehind || (error instanceof EventStoreError && error.retryable))) throw error;
    tally.behind++;
  }
  await pause();
}

/** Two processes that only read, and keepers that come and go, while somebody writes and rebuilds. */
async function live(seed: number, faults: Partial<Faults>, tally: Tally, plant?: TokensPlant) {
  const world = createWorld(seed, { faults, longestDelayMs: 500, maxSteps: 400_000 });
  await world.run(async () => {
    const views = createTokensWorld(world, plant);
    const clock = world.runtime('main');
    const fates: Promise<unknown>[] = [];
    let done = false;
    let started = 0;
    let keepers: string[] = [];
    const start = (kind: 'keeper' | 'reader') => {
      const actor = `${kind}-${++started}`;
      if (kind === 'keeper') keepers.push(actor);
      const body = async (runtime: { sleep(ms: number): Promise<void> }) => {
        const own = views.reader(actor, kind === 'keeper');
        while (!done)
          await ask(world, views, own.reads, tally, () => runtime.sleep(Math.floor(world.random() * 30)));
        await own.stop();
      };
      fates.push(world.spawn(actor, body));
    };
    const happenings: Readonly<Record<string, () => void>> = {
      kill: () => {
        for (const actor of keepers) world.crash(actor);
        keepers = [];
        start('keeper');
      },
      second: () => {
        if (keepers.length < 2) start('keeper');
      },
      rebuild: () => {
        const actor = `rebuild-${++started}`;
        // Another one may have switched meanwhile, or the server is away: then the old one goes on.
        fates.push(world.spawn(actor, () => views.rebuild(actor).catch(() => undefined)));
      },
    };
    views.write();
    for (const kind of ['keeper', 'reader', 'reader'] as const) start(kind);
    for (let n = 1; n < COMMITS; n++) {
      views.write();
      await clock.sleep(Math.floor(world.random() * 80));
      if (world.random() < 0.08) Object.values(happenings)[Math.floor(world.random() * 3)]?.();
    }
    await clock.sleep(2_000);
    done = true;
    await Promise.all(fates);
  });
}

const storm: Partial<Faults> = {
  ...{ staleRead: 0.3, lostAck: 0.01, lateLanding: 0.01, lostSend: 0.01, unavailable: 0.005 },
  ...{ brokenScan: 0.01, redelivery: 0.1, delay: 0.02 },
};

test.each<[string, Partial<Faults>]>([
  ['whatever the interleaving', {}],
  ['with stale replicas and with lost, late and repeated messages', storm],
])(
  'no read shows a state older than its token while runners die, double and rebuild: %s',
  async (_, faults) => {
    const tally: Tally = { fresh: 0, behind: 0, stale: [] };
    for (let seed = 1; seed <= SEEDS; seed++) await live(seed, faults, tally);
    expect(tally.stale).toEqual([]);
    // A run whose reads all gave up would prove nothing.
    expect(tally.fresh).toBeGreaterThan(20 * SEEDS);
  },
  60_000,
);

test.each<[string, TokensPlant]>([
  ['that believes a replica', { around: (bucket) => ({ ...bucket, get: (key) => bucket.get(key) }) }],
  ['that takes every commit for one that does not concern its view', { coveredBy: () => BEGINNING }],
])('a reader %s is found', async (_, plant) => {
  const tally: Tally = { fresh: 0, behind: 0, stale: [] };
  for (let seed = 1; seed <= SEEDS && tally.stale.length === 0; seed++)
    await live(seed, { staleRead: 0.3 }, tally, plant);
  expect(tally.stale).not.toEqual([]);
});
