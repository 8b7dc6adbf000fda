import { afterAll, beforeAll, expect, it } from 'vitest';
import { part } from '../../src/eventstore/commit-all.ts';
import { createHandler, type HandlerSettings } from '../../src/eventstore/handler.ts';
import { EventStoreError } from '../../src/eventstore/index.ts';
import { numberOf } from '../../src/eventstore/position.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { counter, counterRef } from '../../src/testing/contracts/toy.ts';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { createLogStream, type LogHandle, openTestLog } from '../support/nats-log.ts';
import { add, meta } from '../unit/eventstore/kernel.ts';

const PROCESSES = 8;
const COMMANDS = 50;
const TIMEOUT_MS = 60_000;

let server: TestServer;
/** A connection each, as processes have. */
let handles: LogHandle[];

beforeAll(async () => {
  server = await startTestServer();
  await createLogStream(server.url);
  handles = await Promise.all(Array.from({ length: PROCESSES }, () => openTestLog(server.url)));
});

afterAll(async () => {
  await Promise.all(handles.map((handle) => handle.close()));
  await server.stop();
});

/** Every process sends its commands one after the other, all processes at once; how often each came to what. */
async function crowd(
  commands: number,
  settings: Partial<HandlerSettings>,
  send: (handler: ReturnType<typeof createHandler>, commandId: string) => Promise<{ outcome: string }>,
): Promise<Record<string, number>> {
  const outcomes: Record<string, number> = {};
  const work = async ({ log }: LogHandle, process: number) => {
    const handler = createHandler({ log, runtime: systemRuntime, settings });
    for (let i = 0; i < commands; i++) {
      const outcome = await send(handler, `${process}-${i}`).then(
        (result) => result.outcome,
        (error: unknown) => (error instanceof EventStoreError ? error.code : String(error)),
      );
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    }
  };
  await Promise.all(handles.map(work));
  return outcomes;
}

async function storedOn(id: string): Promise<number> {
  let [stored, after] = [0, 0];
  for (;;) {
    const page = await handles[0]?.log.read(counterRef(id), { after, confirm: true });
    for (const commit of page?.commits ?? []) {
      stored += commit.decisions.length;
      after = numberOf(commit.position);
    }
    if (page?.more !== true) return stored;
  }
}

it(
  `${PROCESSES} processes with ${COMMANDS} commands each on one aggregate are all served, none answered a conflict or late`,
  async () => {
    const outcomes = await crowd(COMMANDS, {}, (handler, id) =>
      handler.execute(counter, 'hot', add(1), meta(id)),
    );
    expect(outcomes).toEqual({ accepted: PROCESSES * COMMANDS });
    expect(await storedOn('hot')).toBe(PROCESSES * COMMANDS);
  },
  TIMEOUT_MS,
);

it(
  'more than can be served in time ends at the deadline, never in a conflict',
  async () => {
    const outcomes = await crowd(COMMANDS, { deadlineMs: 15 }, (handler, id) =>
      handler.execute(counter, 'hotter', add(1), meta(id)),
    );
    const { accepted = 0, 'command/deadline': late = 0, ...other } = outcomes;
    expect(other).toEqual({});
    expect(late).toBeGreaterThan(0);
    expect(accepted + late).toBe(PROCESSES * COMMANDS);
    expect(await storedOn('hotter')).toBe(accepted);
  },
  TIMEOUT_MS,
);

it(
  'atomic commits on the same two aggregates are all served, none answered a conflict',
  async () => {
    const both = () => [part(counter, 'pair-a', add(1)), part(counter, 'pair-b', add(1))];
    const outcomes = await crowd(8, { deadlineMs: 40_000 }, (handler, id) =>
      handler.commitAll(both(), meta(id)),
    );
    expect(outcomes).toEqual({ accepted: PROCESSES * 8 });
  },
  TIMEOUT_MS,
);
