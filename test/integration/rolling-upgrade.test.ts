import { type Int32Value, Int32ValueSchema } from '@bufbuild/protobuf/wkt';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Decider, Rejection } from '../../src/eventstore/decider.ts';
import { UnknownEventType } from '../../src/eventstore/errors.ts';
import { createHandler, type Handler } from '../../src/eventstore/handler.ts';
import { distance, numberOf } from '../../src/eventstore/position.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { type CounterCommand, counter, counterRef } from '../../src/testing/contracts/toy.ts';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { createLogStream, type LogHandle, openTestLog } from '../support/nats-log.ts';
import { add, meta, note } from '../unit/eventstore/kernel.ts';

/** The release before notes: it neither writes nor reads them. */
const withoutNotes: Decider<number, CounterCommand, Int32Value, Rejection> = {
  category: counter.category,
  events: [Int32ValueSchema],
  initial: 0,
  evolve: (total, event) => total + event.value,
  decide: (command, total) => {
    const outcome = command.kind === 'add' ? counter.decide(command, { total, notes: [] }) : [];
    return outcome as readonly Int32Value[] | Rejection;
  },
};

/** The release between: it reads notes and does not write them yet. */
const readingNotes: typeof counter = {
  ...counter,
  decide: (command, state) => (command.kind === 'add' ? counter.decide(command, state) : []),
};

const IDS = Array.from({ length: 12 }, (_, i) => `a${i}`);
/** Notes are written to every third aggregate. */
const noted = (id: string): boolean => Number(id.slice(1)) % 3 === 0;
const ROUNDS = 25;

let server: TestServer;
let handles: LogHandle[];

beforeAll(async () => {
  server = await startTestServer();
  await createLogStream(server.url);
  handles = await Promise.all([1, 2, 3].map(() => openTestLog(server.url)));
});
afterAll(async () => {
  await Promise.all(handles.map((handle) => handle.close()));
  await server.stop();
});

interface Told {
  readonly commandId: string;
  readonly id: string;
  readonly end: { outcome: string; version?: number } | { stopped: unknown };
}

type Release = (
  id: string,
  round: number,
  commandId: string,
) => Promise<{ outcome: string; version?: number }>;

/** Every release sends a command to every aggregate at once, round after round. */
async function underLoad(releases: Readonly<Record<string, Release>>): Promise<Told[]> {
  const told: Told[] = [];
  const send = async (release: Release, commandId: string, id: string, round: number): Promise<void> => {
    const end = await release(id, round, commandId).catch((stopped: unknown) => ({ stopped }));
    told.push({ commandId, id, end });
  };
  for (let round = 0; round < ROUNDS; round++) {
    const calls = Object.entries(releases).flatMap(([name, release]) =>
      IDS.map((id) => send(release, `${name}-${id}-${round}`, id, round)),
    );
    await Promise.all(calls);
  }
  return told;
}

describe('a rolling upgrade under load', () => {
  it('stops the old release where it meets the new event, loses nothing, and lets a reading one work beside', async () => {
    const handlerOf = (index: number): Handler => {
      const handle = handles[index];
      if (handle === undefined) throw new RangeError('no such process');
      return createHandler({
        log: handle.log,
        runtime: systemRuntime,
        settings: { deadlineMs: 10_000 },
      });
    };
    const [oldest, between, newest] = [handlerOf(0), handlerOf(1), handlerOf(2)];
    const told = await underLoad({
      old: (id, _, commandId) => oldest.execute(withoutNotes, id, add(1), meta(commandId)),
      reading: (id, _, commandId) => between.execute(readingNotes, id, add(1), meta(commandId)),
      writing: (id, round, commandId) => {
        const command = noted(id) && round > 5 ? note(`${round}`) : add(1);
        return newest.execute(counter, id, command, meta(commandId));
      },
    });
    const [old, others] = [true, false].map((is) =>
      told.filter((t) => t.commandId.startsWith('old-') === is),
    );

    // Who can read it works on, whoever writes it.
    for (const { end } of others ?? []) expect(end).toMatchObject({ outcome: 'accepted' });
    // Who cannot stops there with a clear error, and nowhere else.
    const stopped = (old ?? []).filter(({ end }) => 'stopped' in end);
    expect(new Set(stopped.map(({ id }) => id))).toEqual(new Set(IDS.filter(noted)));
    for (const { end } of stopped) expect('stopped' in end && end.stopped).toBeInstanceOf(UnknownEventType);

    const stored = await decisions();
    // Nothing that was acknowledged is lost or twice, and nothing that was stopped is there.
    for (const { commandId, end } of told) {
      const places = stored.filter((d) => d.commandId === commandId).map((d) => d.position);
      expect(places, commandId).toEqual('stopped' in end ? [] : [end.version]);
    }
    // The old release decided nothing on a history that it could not read.
    for (const id of IDS) {
      const own = stored.filter((d) => d.id === id);
      const firstNote = own.findIndex((d) => d.types.includes('StringValue'));
      expect(firstNote >= 0).toBe(noted(id));
      const behind = firstNote < 0 ? [] : own.slice(firstNote);
      expect(behind.filter((d) => d.commandId.startsWith('old-'))).toEqual([]);
    }
  });
});

describe('a release that asks the leader, beside the next one, which writes fences', () => {
  it('reads, appends, follows the log and is told the same as the other', async () => {
    await using believing = await openTestLog(server.url);
    const bounds = { attemptTimeoutMs: 1_000, deadlineMs: 5_000, alwaysConfirm: true };
    await using fencing = await openTestLog(server.url, undefined, bounds);
    const from = await believing.log.head();
    const [older, newer] = [believing, fencing].map(({ log }) =>
      createHandler({ log, runtime: systemRuntime, settings: { deadlineMs: 10_000 } }),
    );
    if (older === undefined || newer === undefined) throw new RangeError('no such process');
    const stop = new AbortController();
    const followed: number[] = [];
    const following = (async () => {
      for await (const batch of believing.log.scan({ after: from, follow: true, signal: stop.signal }))
        followed.push(...batch.commits.map(({ position }) => numberOf(position)));
    })();
    const told: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      for (const [name, handler] of Object.entries({ older, newer })) {
        const result = await handler.execute(counter, 'both', add(1), meta(`both-${name}-${round}`));
        if (result.outcome !== 'accepted') throw new Error(result.outcome);
        told.push(result.version);
        const refused = await handler.execute(counter, 'both', add(-1_000), meta(`less-${name}-${round}`));
        expect(refused.outcome).toBe('rejected');
        const [one, other] = [await older.load(counter, 'both'), await newer.load(counter, 'both')];
        expect([one, other.version]).toEqual([other, result.version]);
      }
    }
    await until('the follower has come up', () => followed.length === told.length);
    stop.abort();
    await following;
    expect(followed).toEqual(told);
    const fences = distance(from, await believing.log.head()) - told.length;
    expect(fences).toBeGreaterThanOrEqual(2 * ROUNDS);
  });
});

async function decisions() {
  const all: { id: string; position: number; commandId: string; types: string[] }[] = [];
  for (const id of IDS) {
    const log = handles[0]?.log;
    let after = 0;
    for (let more = true; more && log !== undefined; ) {
      const page = await log.read(counterRef(id), { after, confirm: true });
      for (const { position, decisions } of page.commits) {
        after = numberOf(position);
        for (const d of decisions) {
          all.push({
            id,
            position: numberOf(position),
            commandId: d.commandId,
            types: d.events.map((e) => e.type),
          });
        }
      }
      more = page.more;
    }
  }
  return all;
}
