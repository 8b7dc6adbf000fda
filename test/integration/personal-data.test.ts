import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { exportSPKI } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { topologyCommand } from '../../src/cli/topology.ts';
import { configDir, loadConfig } from '../../src/platform/config/load.ts';
import { createLogger } from '../../src/platform/logger.ts';
import { startService } from '../../src/service/start.ts';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { AUDIENCE, bearer, ISSUER, signingKey, tokenOf } from '../api/tokens.ts';
import { must, since } from '../e2e/client.ts';
import { PAYMENT } from '../e2e/shop.ts';
import { runInProcess } from '../support/cli-in-process.ts';

const NAME = 'Augusta Byron-Lovelace';
const EMAIL = 'augusta.byron@example.com';
const NEW_EMAIL = 'countess.lovelace@example.com';
/** What an issuer that names its users by their address says. */
const SUBJECT = 'ada.king@example.com';
const PERSONAL = /augusta|byron|lovelace|countess|ada\.king|example\.com/i;
const ENCODINGS = ['utf8', 'base64', 'base64url', 'hex'] as const;

/** A message as everybody sees it who may look at subjects and headers. */
interface Outside {
  readonly stream: string;
  readonly text: string;
  readonly data: string;
}

let server: TestServer;
let folder: string;
const stored: Outside[] = [];

/** Whether a text holds personal data, plain or in one of the usual encodings. */
function tells(text: string): boolean {
  const spelled = ENCODINGS.flatMap((encoding) =>
    [EMAIL, NEW_EMAIL, SUBJECT, NAME].map((word) => Buffer.from(word).toString(encoding).replace(/=+$/, '')),
  );
  return PERSONAL.test(text) || spelled.some((word) => text.includes(word));
}

async function lookAtEverything(): Promise<void> {
  const connection = await connect({ servers: server.url });
  try {
    const jsm = await jetstreamManager(connection);
    for await (const { config, state } of jsm.streams.list()) {
      for (let seq = state.first_seq; state.messages > 0 && seq <= state.last_seq; seq++) {
        const message = await jsm.streams.getMessage(config.name, { seq });
        if (message === null) continue;
        const headers = [...message.header].flat(2);
        stored.push({
          stream: config.name,
          text: [message.subject, ...headers].join('\n'),
          data: Buffer.from(message.data).toString('latin1'),
        });
      }
    }
  } finally {
    await connection.close();
  }
}

beforeAll(async () => {
  server = await startTestServer();
  folder = await mkdtemp(join(tmpdir(), 'jetledger-personal-'));
  const key = await signingKey('k1');
  const keyFile = join(folder, 'issuer.pem');
  await writeFile(keyFile, await exportSPKI(key.publicKey));
  const env = {
    JETLEDGER_ENV: 'test',
    JETLEDGER_USERS__EMAIL_KEY: 'a1'.repeat(32),
    JETLEDGER_AUTH__ENABLED: 'true',
    JETLEDGER_AUTH__KEY_FILE: keyFile,
    JETLEDGER_AUTH__ISSUER: ISSUER,
    JETLEDGER_AUTH__AUDIENCE: AUDIENCE,
    NATS_URL: server.url,
  };
  expect((await runInProcess(server, topologyCommand, ['apply'], env)).code).toBe(0);
  const config = loadConfig({ env, dir: configDir(env) });
  const service = await startService(
    config,
    createLogger(config, { destination: { write: () => undefined } }),
  );
  const { url } = service;
  const exp = Math.floor(Date.now() / 1_000) + 600;
  const scope = 'users orders catalogue';
  const headers = bearer(await tokenOf(key, { sub: SUBJECT, scope, iat: exp - 600, exp }));
  const keyed = (name: string) => ({ ...headers, 'idempotency-key': `${name} ${EMAIL}` });
  const user = await must(201, url, 'POST', '/v1/users', { email: EMAIL, name: NAME }, keyed('register'));
  const path = `/v1/users/${user.field('id')}`;
  await must(200, url, 'PATCH', path, { name: `${NAME} King` }, headers);
  await must(200, url, 'POST', `${path}/email`, { email: NEW_EMAIL }, keyed('change'));
  const price = { amountMinor: 450, currency: 'EUR' };
  await must(201, url, 'POST', '/v1/products', { sku: 'TEA', name: 'Tea', price }, headers);
  await must(200, url, 'POST', '/v1/products/TEA/stock', { receiptId: 'r1', quantity: 5 }, headers);
  const order = { userId: user.field('id'), lines: [{ sku: 'TEA', quantity: 1 }], payment: PAYMENT };
  const waiting = { ...keyed('order'), prefer: 'wait=10' };
  expect((await must(201, url, 'POST', '/v1/orders', order, waiting)).field('status')).toBe('confirmed');
  const last = await must(200, url, 'POST', `${path}/deactivate`, { reason: `${NAME} asked` }, headers);
  await must(200, url, 'GET', path, undefined, { ...headers, ...since(last) });
  await service.stop();
  await lookAtEverything();
}, 60_000);
afterAll(async () => {
  await server?.stop();
  await rm(folder, { recursive: true, force: true });
});

describe('what is stored in NATS', () => {
  it('tells no name and no address of a person by its subject, key or header', () => {
    expect(new Set(stored.map(({ stream }) => stream)).size).toBeGreaterThan(6);
    expect(stored.length).toBeGreaterThan(25);
    expect(stored.filter(({ text }) => tells(text)).map(({ text }) => text)).toEqual([]);
  });

  it('holds them nowhere, neither in events nor in what is made of these', () => {
    expect(stored.filter(({ data }) => tells(data)).map(({ stream }) => stream)).toEqual([]);
    // Other words of the same events are found.
    expect(stored.filter(({ data }) => data.includes('UserRenamed')).length).toBeGreaterThan(0);
  });
});
