import { connect } from '@nats-io/transport-node';
import { expect, it } from 'vitest';
import { probeWrites } from '../../src/eventstore/nats/log-stream.ts';
import { createRequests } from '../../src/eventstore/nats/requests.ts';
import { startTestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { createLogStream, openTestLog, TEST_LOG } from '../support/nats-log.ts';

const stream = { category: 'order', id: 'readiness' };

it('an append that has to be refused shows whether the log decides about appends, and stores nothing', async () => {
  await using server = await startTestServer();
  const connection = await connect({ servers: server.url });
  const requests = createRequests(connection);
  const probe = () => probeWrites(requests, { prefix: TEST_LOG.prefix, stream, timeoutMs: 500 });
  try {
    expect(await probe()).toBe('no-responders');
    await createLogStream(server.url);
    await using opened = await openTestLog(server.url);
    expect(await probe()).toBeUndefined();
    expect(await opened.log.head()).toBe(0);
    server.signal('SIGSTOP');
    // A signal takes its time, and the probe may be faster.
    await until('the server hangs', async () => (await probe()) === 'timeout');
  } finally {
    server.signal('SIGCONT');
    requests.close();
    await connection.close();
  }
});
