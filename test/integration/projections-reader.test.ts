import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { BEGINNING, numberOf } from '../../src/eventstore/position.ts';
import { counterRef, noted, toyCommit } from '../../src/testing/contracts/toy.ts';
import { startTestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { createLogStream, openTestLog } from '../support/nats-log.ts';

/** Longer than a pull request of the reader stays open (10 s); nothing can be awaited, since nothing happens. */
const IDLE_MS = 11_000;

it('a reader that follows the log sees the next commit also after a long silence', async () => {
  await using server = await startTestServer();
  await createLogStream(server.url);
  await using opened = await openTestLog(server.url);
  const { log } = opened;
  const seen: number[] = [];
  const controller = new AbortController();
  const following = (async () => {
    for await (const { commits } of log.scan({ after: BEGINNING, follow: true, signal: controller.signal })) {
      seen.push(...commits.map(({ position }) => numberOf(position)));
    }
  })();
  await log.append(counterRef('a'), 0, toyCommit('first', [noted('first')]));
  await until('the first commit is seen', () => seen.length === 1);
  await delay(IDLE_MS);
  await log.append(counterRef('b'), 0, toyCommit('second', [noted('second')]));
  await until('the second commit is seen', () => seen.length === 2);
  controller.abort();
  await following;
  expect(seen).toEqual([1, 2]);
});

it('a reader ends at whatever moment its signal fires, also while it is still starting', async () => {
  await using server = await startTestServer();
  await createLogStream(server.url);
  await using opened = await openTestLog(server.url);
  const stopAfter = async (ms: number): Promise<void> => {
    const controller = new AbortController();
    let ended = false;
    const following = (async () => {
      for await (const _batch of opened.log.scan({
        after: BEGINNING,
        follow: true,
        signal: controller.signal,
      }));
      ended = true;
    })();
    await delay(ms);
    controller.abort();
    await until(`the reader stopped after ${ms} ms has ended`, () => ended, 2_000);
    await following;
  };
  await Promise.all(Array.from({ length: 40 }, (_, n) => stopAfter(n / 2)));
});
