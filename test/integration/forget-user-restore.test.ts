import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { backupCommand } from '../../src/cli/backup.ts';
import { forgottenCommand } from '../../src/cli/copies/forgotten.ts';
import { forgetCommand } from '../../src/cli/personal/forget.ts';
import { restoreCommand } from '../../src/cli/restore.ts';
import { topologyCommand } from '../../src/cli/topology.ts';
import { startTestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { ask, must } from '../e2e/client.ts';
import { runInProcess } from '../support/cli-in-process.ts';
import { makeLog, SECRETS, startEncrypted } from '../support/encrypted-service.ts';

it('a user who was forgotten is so again in a log that was restored from before, and its address is free', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'jetledger-forget-'));
  const [backup, ledger] = [join(folder, 'backup'), join(folder, 'ledger')];
  const ada = { email: 'ada@example.com', name: 'Ada' };
  let path = '';
  {
    await using server = await startTestServer();
    await makeLog(server);
    await using service = await startEncrypted(server);
    const created = await must(201, service.url, 'POST', '/v1/users', ada);
    const id = String(created.field('id'));
    path = `/v1/users/${id}`;
    const run = (command: Parameters<typeof runInProcess>[1], ...args: string[]) =>
      runInProcess(server, command, args, SECRETS);
    expect((await run(backupCommand, backup)).code).toBe(0);
    expect((await run(forgetCommand, id, '--wait')).code).toBe(0);
    expect((await run(forgottenCommand, ledger)).code).toBe(0);
  }
  await using server = await startTestServer();
  const args = [backup, '--forgotten', ledger];
  expect((await runInProcess(server, restoreCommand, args, SECRETS)).code).toBe(0);
  expect((await runInProcess(server, topologyCommand, ['apply'], SECRETS)).code).toBe(0);
  await using service = await startEncrypted(server);
  const isDone = async () => (await ask(service.url, 'GET', `${path}/forgetting`)).field('status') === 'done';
  await until('the user is forgotten again', isDone, 60_000);
  const shown = await must(200, service.url, 'GET', `${path}?consistency=strong`);
  expect(shown.body).toMatchObject({ name: 'forgotten', email: 'forgotten', status: 'forgotten' });
  await must(201, service.url, 'POST', '/v1/users', ada);
  await rm(folder, { recursive: true, force: true });
}, 120_000);
