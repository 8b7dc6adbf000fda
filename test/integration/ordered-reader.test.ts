import { expect, it } from 'vitest';
import { readOrdered } from '../../src/eventstore/nats/ordered-reader.ts';
import { BEGINNING, numberOf } from '../../src/eventstore/position.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { added, counterRef, toyCommit } from '../../src/testing/contracts/toy.ts';
import { startTestServer } from '../../src/testing/nats-server.ts';
import { createLogStream, openTestLog, TEST_LOG } from '../support/nats-log.ts';

it('goes on behind the last commit it gave out when the server dies, without a gap or a repetition', async () => {
  await using server = await startTestServer();
  await createLogStream(server.url);
  await using writer = await openTestLog(server.url);
  await using reader = await openTestLog(server.url);
  const append = async (from: number, to: number): Promise<void> => {
    for (let i = from; i < to; i++)
      await writer.log.append(counterRef(`c${i}`), 0, toyCommit(`c${i}`, [added(i)]));
  };
  await append(0, 500);

  const seen: number[] = [];
  const stop = new AbortController();
  const reading = (async () => {
    for await (const { commits } of reader.log.scan({
      after: BEGINNING,
      follow: true,
      signal: stop.signal,
    })) {
      seen.push(...commits.map(({ position }) => numberOf(position)));
    }
  })();
  await expect.poll(() => seen.length, { timeout: 10_000 }).toBe(500);
  await server.kill9();
  await server.restart();
  await expect.poll(writer.requests.connected, { timeout: 10_000 }).toBe(true);
  await append(500, 700);
  await expect.poll(() => seen.length, { timeout: 15_000 }).toBe(700);
  expect(seen).toEqual(Array.from({ length: 700 }, (_, i) => i + 1));
  stop.abort();
  await reading;
});

it('delivers what comes after a time without anything, however long, when every pull has expired', async () => {
  await using server = await startTestServer();
  await createLogStream(server.url);
  await using handle = await openTestLog(server.url);
  const stop = new AbortController();
  const reader = readOrdered({
    requests: handle.requests,
    runtime: systemRuntime,
    stream: TEST_LOG.stream,
    filter: `${TEST_LOG.prefix}.>`,
    after: 0,
    signal: stop.signal,
    pullExpiresMs: 1_000,
  });
  expect((await reader.next()).value).toEqual([]);
  const next = reader.next();
  await systemRuntime.sleep(2_500);
  await handle.log.append(counterRef('late'), 0, toyCommit('late', [added(1)]));
  const late = await Promise.race([next, systemRuntime.sleep(2_000)]);
  expect(late).toMatchObject({ value: [{ seq: 1 }] });
  stop.abort();
  await reader.next();
});

it('has the pulls of all readers of a process end together, and none too short for its heartbeats', async () => {
  await using server = await startTestServer();
  await createLogStream(server.url);
  await using handle = await openTestLog(server.url);
  const stop = new AbortController();
  const pulls: { readonly end: number; readonly heartbeats: number }[] = [];
  const publish: typeof handle.requests.publish = (subject, payload, options) => {
    const { expires, idle_heartbeat } = JSON.parse(String(payload));
    pulls.push({ end: performance.now() + expires / 1e6, heartbeats: expires / idle_heartbeat });
    return handle.requests.publish(subject, payload, options);
  };
  const read = async (): Promise<void> => {
    const reader = readOrdered({
      requests: { ...handle.requests, publish },
      runtime: systemRuntime,
      stream: TEST_LOG.stream,
      filter: `${TEST_LOG.prefix}.>`,
      after: 0,
      signal: stop.signal,
      pullExpiresMs: 1_000,
    });
    for await (const batch of reader) expect(batch).toEqual([]);
  };
  const reading: Promise<void>[] = [];
  for (let n = 0; n < 5; n++) {
    reading.push(read());
    await systemRuntime.sleep(130);
  }
  await expect.poll(() => pulls.length, { timeout: 10_000 }).toBeGreaterThan(12);
  stop.abort();
  await Promise.all(reading);
  const apart = pulls.map(({ end }) => Math.abs(end - 1_000 * Math.round(end / 1_000)));
  // How long a message is built takes its part.
  expect(Math.max(...apart)).toBeLessThan(100);
  expect(Math.min(...pulls.map(({ heartbeats }) => heartbeats))).toBeGreaterThan(2);
});

it('ends a scan that does not follow with a clear fault when the server stays away', async () => {
  await using server = await startTestServer();
  await createLogStream(server.url);
  await using reader = await openTestLog(server.url);
  await server.kill9();
  const scan = async (): Promise<void> => {
    for await (const _ of reader.log.scan({ after: BEGINNING })) await systemRuntime.sleep(0);
  };
  await expect(scan()).rejects.toMatchObject({ code: 'log/unavailable' });
});
