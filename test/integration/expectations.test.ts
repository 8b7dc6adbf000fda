import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Expectation } from '../../src/eventstore/command.ts';
import { createHandler, type Handler } from '../../src/eventstore/handler.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { counter, counterRef, toyValues } from '../../src/testing/contracts/toy.ts';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { createLogStream, type LogHandle, openTestLog } from '../support/nats-log.ts';
import { add, meta, note } from '../unit/eventstore/kernel.ts';

const PROCESSES = 4;

let server: TestServer;
let handles: LogHandle[];
/** Each on a connection and with a cache of its own, as another process would be. */
let processes: Handler[];

beforeAll(async () => {
  server = await startTestServer();
  await createLogStream(server.url);
  handles = await Promise.all(Array.from({ length: PROCESSES }, () => openTestLog(server.url)));
  processes = handles.map(({ log }) =>
    createHandler({ log, runtime: systemRuntime, settings: { deadlineMs: 20_000 } }),
  );
});

afterAll(async () => {
  await Promise.all(handles.map((handle) => handle.close()));
  await server.stop();
});

/** Sends a command through every process at once, each with an id of its own. */
function everywhere(id: string, expected: Expectation) {
  return Promise.all(
    processes.map((process, i) =>
      process.execute(counter, id, add(1), meta(`${id}-${expected}-${i}`), { expected }),
    ),
  );
}

const outcomes = (results: { outcome: string }[]): string[] => results.map((r) => r.outcome).toSorted();

async function decisionsOf(id: string) {
  const page = await handles[0]?.log.read(counterRef(id), { after: 0, confirm: true });
  return page?.commits.flatMap((c) => c.decisions) ?? [];
}

function processOf(index: number): Handler {
  const process = processes[index];
  if (process === undefined) throw new RangeError(`there are ${PROCESSES} processes`);
  return process;
}

describe('expectations on a real server, asked by several processes at once', () => {
  it('let exactly one create an aggregate, and tell the others its version', async () => {
    const results = await everywhere('one', 'none');
    expect(outcomes(results)).toEqual(['accepted', 'conflict', 'conflict', 'conflict']);
    const winner = results.find((r) => r.outcome === 'accepted');
    for (const result of results) {
      if (result.outcome !== 'conflict') continue;
      expect(result).toMatchObject({
        category: 'counter',
        id: 'one',
        expected: 'none',
        actual: winner?.version,
      });
    }
    expect(await decisionsOf('one')).toHaveLength(1);
  });

  it('let exactly one act on an exact version', async () => {
    await processOf(0).execute(counter, 'exact', add(1), meta('create exact'));
    const { version } = await processOf(0).load(counter, 'exact');
    expect(outcomes(await everywhere('exact', version))).toEqual([
      'accepted',
      'conflict',
      'conflict',
      'conflict',
    ]);
    expect(await decisionsOf('exact')).toHaveLength(2);
  });

  it('refuse everybody what must exist and does not', async () => {
    expect(outcomes(await everywhere('nobody', 'exists'))).toEqual(Array(PROCESSES).fill('conflict'));
    expect(await decisionsOf('nobody')).toEqual([]);
  });

  it('let everybody through who takes any version, and nothing is lost under contention', async () => {
    const each = 40;
    const results = await Promise.all(
      processes.flatMap((process, p) =>
        Array.from({ length: each }, (_, i) =>
          process.execute(counter, 'hot', add(1), meta(`hot-${p}-${i}`)),
        ),
      ),
    );
    expect(new Set(outcomes(results))).toEqual(new Set(['accepted']));
    const decisions = await decisionsOf('hot');
    expect(new Set(decisions.map((d) => d.commandId)).size).toBe(PROCESSES * each);
    expect(toyValues(decisions)).toHaveLength(PROCESSES * each);
    expect((await processOf(0).load(counter, 'hot')).state.total).toBe(PROCESSES * each);
  });

  it('are met by the truth and not by what a process has cached', async () => {
    const [first, second] = [processOf(0), processOf(1)];
    await first.execute(counter, 'stale', add(5), meta('s1'));
    await second.load(counter, 'stale');
    await first.execute(counter, 'stale', add(-5), meta('s2'));
    await first.execute(counter, 'stale', note('x'), meta('s3'));
    expect(await second.execute(counter, 'stale', add(-1), meta('s4'))).toMatchObject({
      outcome: 'rejected',
    });
    expect(await second.execute(counter, 'stale', note('x'), meta('s5'))).toMatchObject({
      outcome: 'unchanged',
    });
    await first.execute(counter, 'stale', add(3), meta('s6'));
    expect(await second.execute(counter, 'stale', add(-3), meta('s7'))).toMatchObject({
      outcome: 'accepted',
      state: { total: 0 },
    });
  });

  it('give one decision and one answer to a command that all processes are sent at once', async () => {
    const results = await Promise.all(
      processes.map((process) => process.execute(counter, 'twins', add(1), meta('same', 'body'))),
    );
    expect(await decisionsOf('twins')).toHaveLength(1);
    const versions = results.map((r) => r.outcome === 'accepted' && r.version);
    expect(new Set(versions).size).toBe(1);
    expect(results.filter((r) => r.outcome === 'accepted' && !r.repeated)).toHaveLength(1);
  });
});
