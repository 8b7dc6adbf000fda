import { headers as newHeaders } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { part } from '../../src/eventstore/commit-all.ts';
import { createHandler, type Handler } from '../../src/eventstore/handler.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { counter, counterRef } from '../../src/testing/contracts/toy.ts';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { createLogStream, type LogHandle, openTestLog, TEST_LOG } from '../support/nats-log.ts';
import { add, meta } from '../unit/eventstore/kernel.ts';

/** Eight processes with eight open batches each are more than the 50 that the server takes. */
const PROCESSES = 8;
const BATCHES_EACH = 12;

let server: TestServer;
let handles: LogHandle[];
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

function processOf(index: number): Handler {
  const process = processes[index];
  if (process === undefined) throw new RangeError(`there are ${PROCESSES} processes`);
  return process;
}

async function commitsOf(id: string) {
  const page = await handles[0]?.log.read(counterRef(id), { after: 0, confirm: true });
  return page?.commits ?? [];
}

describe('a commit of several aggregates on a real server', () => {
  it('is stored on all of them under one commit id, or on none', async () => {
    const [first, second] = [processOf(0), processOf(1)];
    const both = [part(counter, 'a1', add(5)), part(counter, 'b1', add(5))];
    const result = await first.commitAll(both, meta('c1', 'both'));
    const [a] = await commitsOf('a1');
    const [b] = await commitsOf('b1');
    expect(result).toEqual({ outcome: 'accepted', versions: [a?.position, b?.position], repeated: false });
    expect(a?.commitId).toBe(b?.commitId);

    const broken = [part(counter, 'a1', add(1)), part(counter, 'b1', add(-9))];
    expect(await second.commitAll(broken, meta('c2'))).toMatchObject({ outcome: 'rejected', id: 'b1' });
    const stale = [part(counter, 'a1', add(1)), part(counter, 'b1', add(1), 'none')];
    expect(await second.commitAll(stale, meta('c3'))).toMatchObject({
      outcome: 'conflict',
      category: 'counter',
      id: 'b1',
      expected: 'none',
      actual: b?.position,
    });
    expect(await commitsOf('a1')).toHaveLength(1);
  });

  it('is decided again where a process with an old cache meets a conflict, and repeated with the same answer', async () => {
    const [first, second] = [processOf(0), processOf(1)];
    const both = () => [part(counter, 'a2', add(1)), part(counter, 'b2', add(1))];
    await first.commitAll(both(), meta('d1', 'x'));
    await second.load(counter, 'a2');
    await first.execute(counter, 'b2', add(1), meta('d2'));
    const result = await second.commitAll(both(), meta('d3', 'x'));
    expect(result).toMatchObject({ outcome: 'accepted', repeated: false });
    expect(await first.commitAll(both(), meta('d3', 'x'))).toEqual({ ...result, repeated: true });
    expect(await first.commitAll(both(), meta('d3', 'y'))).toMatchObject({ outcome: 'key-reused' });
    expect((await commitsOf('b2')).length).toBe(3);
  });

  it('is never refused for too many open batches, however many processes send how many', async () => {
    const results = await Promise.all(
      processes.flatMap((process, p) =>
        Array.from({ length: BATCHES_EACH }, (_, i) => {
          const id = `many-${p}-${i}`;
          return process.commitAll([part(counter, id, add(1)), part(counter, `${id}-x`, add(1))], meta(id));
        }),
      ),
    );
    expect(results.every((r) => r.outcome === 'accepted')).toBe(true);
    expect(results).toHaveLength(PROCESSES * BATCHES_EACH);
  });

  it('waits its turn when the server has no place for another open batch', async () => {
    await using handle = await openTestLog(server.url);
    const { connection, requests } = handle;
    const open = (batch: number, sequence: string, commit = false) => {
      const headers = newHeaders();
      headers.set('Nats-Batch-Id', `stuck-${batch}`);
      headers.set('Nats-Batch-Sequence', sequence);
      if (commit) headers.set('Nats-Batch-Commit', '1');
      return connection.request(`${TEST_LOG.prefix}.stuck.0.0.0.b${batch}`, '', { headers, timeout: 5_000 });
    };
    // The batches of others, begun and not finished: all that the server takes.
    await Promise.all(Array.from({ length: 50 }, (_, i) => open(i, '1')));
    // It says so for the first message of a batch, to which nobody listens, and calls the last one lonely (10176).
    const refused = new Promise<void>((resolve) => {
      const { request } = requests;
      Object.assign(requests, {
        request: async (...args: Parameters<typeof request>) => {
          const reply = await request(...args);
          if (reply.failed === undefined && /"err_code":10(210|176)/.test(reply.msg.string())) resolve();
          return reply;
        },
      });
    });
    const patient = createHandler({ log: handle.log, runtime: systemRuntime });
    const parts = [part(counter, 'w1', add(1)), part(counter, 'w2', add(1))];
    const result = patient.commitAll(parts, meta('w'));
    await refused;
    await Promise.all(Array.from({ length: 50 }, (_, i) => open(i, '2', true)));
    expect(await result).toMatchObject({ outcome: 'accepted' });
  });

  it('moves amounts between accounts that everybody works on, and the sum stays', async () => {
    const accounts = ['m0', 'm1', 'm2'];
    for (const id of accounts) await processOf(0).execute(counter, id, add(100), meta(`fill ${id}`));
    const moves = processes.slice(0, 4).flatMap((process, p) =>
      Array.from({ length: 5 }, (_, i) => {
        const [from, to] = [accounts[(p + i) % 3] ?? '', accounts[(p + i + 1) % 3] ?? ''];
        return process.commitAll(
          [part(counter, from, add(-7)), part(counter, to, add(7))],
          meta(`move-${p}-${i}`),
        );
      }),
    );
    const results = await Promise.all(moves);
    const accepted = results.filter((r) => r.outcome === 'accepted').length;
    const totals = await Promise.all(
      accounts.map(async (id) => (await processOf(5).load(counter, id)).state.total),
    );
    expect(totals.reduce((sum, total) => sum + total, 0)).toBe(300);
    const stored = (await Promise.all(accounts.map(commitsOf))).flat().length - accounts.length;
    expect(stored).toBe(2 * accepted);
    expect(accepted).toBeGreaterThan(0);
  });
});
