import { afterAll, beforeAll, expect, test } from 'vitest';
import { appendMany, versionOf } from '../../src/testing/contracts/log-support.ts';
import { added, counterRef, toyCommit } from '../../src/testing/contracts/toy.ts';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { createLogStream, openTestLog } from '../support/nats-log.ts';

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
  await createLogStream(server.url);
});
afterAll(() => server.stop());

test.each([
  { apart: 130, most: 6 },
  { apart: 400, most: 10 },
])(
  'a tail of 16 commits that lie $apart positions apart takes at most $most requests',
  async ({ apart, most }) => {
    await using handle = await openTestLog(server.url);
    const { log, connection } = handle;
    const stream = counterRef(`a-${apart}`);
    const found: number[] = [];
    for (let i = 0; i <= 16; i++) {
      await appendMany(log, counterRef(`between-${apart}-${i}`), apart);
      found.push(versionOf(await log.append(stream, found.at(-1) ?? 0, toyCommit(`c${i}`, [added(i)]))));
    }
    const [first = 0, ...tail] = found;
    const before = connection.stats().outMsgs;
    const page = await log.read(stream, { after: first, confirm: true });
    expect(page.commits.map(({ position }) => position)).toEqual(tail);
    expect(connection.stats().outMsgs - before).toBeLessThanOrEqual(most);
  },
);
