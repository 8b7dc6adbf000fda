import { setTimeout as delay } from 'node:timers/promises';
import { type JetStreamManager, jetstreamManager, type StreamConfig } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { expect, it } from 'vitest';
import { createMasterKeys } from '../../src/eventstore/personal/master-keys.ts';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { ask, must, since } from '../e2e/client.ts';
import { makeLog, SECRETS, startEncrypted } from '../support/encrypted-service.ts';

const KEYS = 'KV_jl_keys';
/** How long a key may be used after it was asked for, and some more. */
const LEASE_OVER_MS = 2_200;

/** The bucket of the keys, as it was when it was taken away. */
interface Taken {
  readonly config: StreamConfig;
  readonly messages: readonly { readonly subject: string; readonly data: Uint8Array }[];
}

async function takeAway(jsm: JetStreamManager): Promise<Taken> {
  const { config, state } = await jsm.streams.info(KEYS);
  const messages: { subject: string; data: Uint8Array }[] = [];
  for (let seq = state.first_seq; seq <= state.last_seq; seq++) {
    const message = await jsm.streams.getMessage(KEYS, { seq });
    if (message !== null) messages.push({ subject: message.subject, data: message.data });
  }
  await jsm.streams.delete(KEYS);
  return { config, messages };
}

async function putBack(connection: NatsConnection, jsm: JetStreamManager, taken: Taken): Promise<void> {
  await jsm.streams.add(taken.config);
  for (const { subject, data } of taken.messages) await connection.request(subject, data);
}

const eve = { email: 'eve@example.com', name: 'Eve' };

it('without the keys an instance stops showing names within 2 s, stores nothing, and goes on when they are back', async () => {
  await using server = await startTestServer();
  await makeLog(server);
  await using service = await startEncrypted(server);
  const { url } = service;
  const connection = await connect({ servers: server.url });
  const jsm = await jetstreamManager(connection);
  const created = await must(201, url, 'POST', '/v1/users', { email: 'ada@example.com', name: 'Ada' });
  const path = `/v1/users/${created.field('id')}`;
  const shown = await must(200, url, 'GET', path, undefined, since(created));

  const taken = await takeAway(jsm);
  expect(taken.messages.length).toBe(1);
  await delay(LEASE_OVER_MS);
  const stored = async () => (await jsm.streams.info('jetledger', { subjects_filter: 'jl.user.>' })).state;
  const before = (await stored()).subjects;
  const refusals = [
    await ask(url, 'GET', path),
    await ask(url, 'GET', '/v1/users?namePrefix=ad'),
    await ask(url, 'PATCH', path, { name: 'Ada King' }),
    await ask(url, 'POST', '/v1/users', eve, { 'idempotency-key': 'eve' }),
  ];
  for (const { status, field, headers } of refusals) {
    expect([status, field('code')]).toEqual([503, 'keys/unavailable']);
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
  }
  expect((await stored()).subjects).toEqual(before);

  await putBack(connection, jsm, taken);
  expect((await must(200, url, 'GET', path)).body).toEqual(shown.body);
  // The same command, whose address is claimed already.
  await must(201, url, 'POST', '/v1/users', eve, { 'idempotency-key': 'eve' });
  await connection.close();
}, 60_000);

it('an instance that reads and does not encrypt works beside one that does: on names, addresses and repeated requests', async () => {
  await using server = await startTestServer();
  await makeLog(server, { JETLEDGER_PRIVACY__ENCRYPT: 'off' });
  await using reads = await startEncrypted(server);
  const plain = await must(201, reads.url, 'POST', '/v1/users', eve, { 'idempotency-key': 'eve' });
  await using writes = await startEncrypted(server, { JETLEDGER_PRIVACY__ENCRYPT: 'on' });
  const ada = { email: 'ada@example.com', name: 'Ada' };
  const sealed = await must(201, writes.url, 'POST', '/v1/users', ada, { 'idempotency-key': 'ada' });

  const again = [
    await must(201, writes.url, 'POST', '/v1/users', eve, { 'idempotency-key': 'eve' }),
    await must(201, reads.url, 'POST', '/v1/users', ada, { 'idempotency-key': 'ada' }),
  ];
  expect(again.map(({ field }) => field('id'))).toEqual([plain, sealed].map(({ field }) => field('id')));
  for (const [one, other] of [
    [reads, writes],
    [writes, reads],
  ] as const) {
    for (const user of [plain, sealed]) {
      const path = `/v1/users/${user.field('id')}`;
      const name = `${user.field('name')} of ${one === reads ? 'reads' : 'writes'}`;
      const renamed = await must(200, one.url, 'PATCH', path, { name });
      expect((await must(200, other.url, 'GET', path, undefined, since(renamed))).field('name')).toBe(name);
      // What no longer changes anything is seen by both.
      await must(200, other.url, 'PATCH', path, { name });
    }
  }
}, 60_000);

it('without the master key that keys are wrapped with no instance starts, unless it is said to be gone; then others register', async () => {
  await using server = await startTestServer();
  await makeLog(server);
  const path = await registered(server, eve);
  const other = { JETLEDGER_PRIVACY__MASTER_KEYS: 'c3'.repeat(32) };
  const name = createMasterKeys(Buffer.from(SECRETS.JETLEDGER_PRIVACY__MASTER_KEYS, 'hex')).current;
  await expect(startEncrypted(server, other)).rejects.toThrow(`privacy.lostMasterKeys: ${name}`);

  await using service = await startEncrypted(server, { ...other, JETLEDGER_PRIVACY__LOST_MASTER_KEYS: name });
  const { status, field } = await ask(service.url, 'GET', path);
  expect([status, field('code')]).toEqual([503, 'keys/unavailable']);
  await must(201, service.url, 'POST', '/v1/users', { email: 'ada@example.com', name: 'Ada' });
}, 60_000);

/** What a list of users says: their names, which of them are unreadable, and whether it is all. */
async function listed(url: string, query = ''): Promise<unknown> {
  const { body } = await must(200, url, 'GET', `/v1/users${query}`);
  const { items, incomplete } = body as { items: Record<string, unknown>[]; incomplete?: boolean };
  const shown = items.map(({ name, email, unreadable }) => [name, email, unreadable]).sort();
  return incomplete === undefined ? shown : { shown, incomplete };
}

it('one key that is missing keeps nobody else out of lists: its row says so, a search by name too, and it is not forgotten', async () => {
  await using server = await startTestServer();
  await makeLog(server);
  const ada = { email: 'ada@example.com', name: 'Ada' };
  const path = await registered(server, eve);
  await registered(server, ada);
  const connection = await connect({ servers: server.url });
  const keys = await jetstreamManager(connection);
  const id = path.slice(path.lastIndexOf('/') + 1);
  const key = await keys.streams.getMessage(KEYS, { last_by_subj: `$KV.jl_keys.${id}` });
  await keys.streams.deleteMessage(KEYS, key?.seq ?? 0);

  const whole = [['Ada', ada.email, undefined]];
  const broken = ['', '', true];
  {
    await using service = await startEncrypted(server);
    await until('lists are built', async () => (await ask(service.url, 'GET', '/v1/users')).status === 200);
    expect(await listed(service.url)).toEqual([broken, ...whole]);
    expect(await listed(service.url, '?namePrefix=ad')).toEqual({ shown: whole, incomplete: true });
    expect(await listed(service.url, '?status=deactivated')).toEqual([]);
    expect((await ask(service.url, 'GET', path)).status).toBe(503);
    const { items } = (await must(200, service.url, 'GET', `${path}/events`)).body as { items: unknown[] };
    expect(items).toEqual([expect.objectContaining({ unreadable: true })]);
    expect(JSON.stringify(items)).not.toMatch(/u0001|forgotten/);
  }
  await connection.request(`$KV.jl_keys.${id}`, key?.data);
  await using service = await startEncrypted(server);
  await until('lists are built', async () => (await ask(service.url, 'GET', '/v1/users')).status === 200);
  expect(await listed(service.url, '?namePrefix=ev')).toEqual([['Eve', eve.email, undefined]]);
  await connection.close();
}, 60_000);

/** Registers somebody at an instance of its own. @returns where the user is shown */
async function registered(server: TestServer, person: Readonly<Record<string, string>>): Promise<string> {
  await using service = await startEncrypted(server);
  const created = await must(201, service.url, 'POST', '/v1/users', person);
  const path = `/v1/users/${created.field('id')}`;
  await must(200, service.url, 'GET', path, undefined, since(created));
  return path;
}
