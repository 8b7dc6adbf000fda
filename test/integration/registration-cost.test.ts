import { expect, it } from 'vitest';
import { createUseCases } from '../../src/app/create-use-cases.ts';
import { createEmailKey } from '../../src/app/email-key.ts';
import { createHandler } from '../../src/eventstore/handler.ts';
import { createMasterKeys } from '../../src/eventstore/personal/master-keys.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { openPersonal } from '../../src/ledger/personal.ts';
import { startTestServer } from '../../src/testing/nats-server.ts';
import { createLogStream, openTestLog, TEST_LOG } from '../support/nats-log.ts';

const SECRET = new Uint8Array(32).fill(5);
const SETTINGS = {
  staleClaimMs: 10_000,
  priceMaxAgeMs: 0,
  paymentDeadlineMs: 600_000,
  defaultPaymentToken: undefined,
};

it('a registration is three messages: the claim of its address, its key and its user', async () => {
  await using server = await startTestServer();
  await createLogStream(server.url);
  await using handle = await openTestLog(server.url);
  const { log, requests, connection } = handle;
  const personal = await openPersonal({
    ...{ requests, prefix: TEST_LOG.prefix, replicas: 1, requestTimeoutMs: 5_000 },
    personal: { masters: createMasterKeys(SECRET) },
  });
  const runtime = systemRuntime;
  const { register } = createUseCases({
    log,
    handler: createHandler({ log, runtime, personal }),
    emailKey: createEmailKey(SECRET),
    runtime,
    personal,
    settings: SETTINGS,
  });
  for (const userId of ['ada', 'bob']) {
    const before = connection.stats().outMsgs;
    const meta = { commandId: `register ${userId}`, actor: userId };
    const { outcome } = await register({ userId, email: `${userId}@example.com`, name: userId }, meta);
    expect(outcome).toBe('accepted');
    expect(connection.stats().outMsgs - before).toBe(3);
  }
});
