import { expect, it } from 'vitest';
import type { AppendTransport } from '../../src/eventstore/append/resolve-append.ts';
import { EventStoreError } from '../../src/eventstore/errors.ts';
import { createHandler } from '../../src/eventstore/handler.ts';
import { createMemoryStore, openMemoryLog } from '../../src/testing/memory-log.ts';
import { createWorld } from '../../src/testing/world.ts';
import { brokenGuards, lower, PAIR, raise } from '../support/on-call.ts';

const FAULTS = {
  staleRead: 0.2,
  lostAck: 0.04,
  lateLanding: 0.04,
  lostSend: 0.02,
  unavailable: 0.02,
  delay: 0.03,
};
const SCHEDULES = 200;
const PROCESSES = 3;
const COMMANDS_EACH = 6;
const LONGEST_DELAY_MS = 2_000;

/** Processes that lower and raise the pair on a bad network. @returns what broke, and how often it was lowered */
async function run(seed: number, spoil?: (transport: AppendTransport) => AppendTransport) {
  const world = createWorld(seed, { faults: FAULTS, longestDelayMs: LONGEST_DELAY_MS });
  const store = createMemoryStore();
  let accepted = 0;
  const work = async (place: number): Promise<void> => {
    const actor = `p${place}`;
    const runtime = world.runtime(actor);
    const log = openMemoryLog(store, {
      world,
      actor,
      deadlineMs: 1_200,
      attemptTimeoutMs: 400,
      groupCommit: seed % 2 === 0,
      ...(spoil && { spoil }),
    });
    const handler = createHandler({ log, runtime, settings: { cacheEntries: seed % 3 } });
    for (let i = 0; i < COMMANDS_EACH; i++) {
      const id = PAIR[world.random() < 0.5 ? 0 : 1];
      try {
        if (i < 2) await raise(handler, id, `${actor}.${i}`);
        else accepted += (await lower(handler, id, `${actor}.${i}`)).outcome === 'accepted' ? 1 : 0;
      } catch (error) {
        if (!(error instanceof EventStoreError && error.retryable)) throw error;
      }
    }
  };
  await world.run(async () => {
    await Promise.all(Array.from({ length: PROCESSES }, (_, place) => work(place)));
    await world.runtime('quiet').sleep(60_000);
  });
  const commits = Array.from({ length: store.head() }, (_, i) => store.at(i + 1)).filter(
    (c) => c !== undefined,
  );
  return { broken: brokenGuards(commits), accepted };
}

it('no commit is stored on a guard that does not hold, on a bad network (protocol 24)', async () => {
  let accepted = 0;
  for (let seed = 1; seed <= SCHEDULES; seed++) {
    const found = await run(seed);
    expect([seed, found.broken]).toEqual([seed, []]);
    accepted += found.accepted;
  }
  expect(accepted).toBeGreaterThan(SCHEDULES / 2);
}, 60_000);

it('a guard that nobody looks at is found', async () => {
  const unguarded = (transport: AppendTransport): AppendTransport => ({
    ...transport,
    publish: (outgoing, timeoutMs) => transport.publish(outgoing, timeoutMs),
  });
  const found: number[] = [];
  for (let seed = 1; seed <= SCHEDULES && found.length === 0; seed++)
    found.push(...(await run(seed, unguarded)).broken);
  expect(found).not.toEqual([]);
}, 60_000);
