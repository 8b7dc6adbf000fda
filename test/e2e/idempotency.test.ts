import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { exportSPKI } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AUDIENCE, bearer, ISSUER, signingKey, tokenOf } from '../api/tokens.ts';
import { createDataDir, type DataDir, startService, stopService } from '../support/service-process.ts';
import { ask, must } from './client.ts';
import { openShop, PAYMENT, STILL_ORDERS } from './shop.ts';

let data: DataDir;

beforeAll(async () => {
  data = await createDataDir();
});
afterAll(async () => data[Symbol.asyncDispose]());

/** Sends a POST and hangs up as soon as all of it is on its way, so that its answer is lost. */
async function postAndHangUp(url: string, body: object, headers: Record<string, string>): Promise<void> {
  const text = JSON.stringify(body);
  const length = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
  const sent = request(`${url}/v1/orders`, { method: 'POST', headers: { ...headers, ...length } });
  sent.on('error', () => undefined);
  sent.end(text);
  await once(sent, 'finish');
  sent.destroy();
}

describe('a POST with an Idempotency-Key', () => {
  it('200 times at once is one order; so it is after a lost answer, and after a restart', async () => {
    const first = await startService({ ...data.variables, ...STILL_ORDERS });
    const shop = await openShop(first.url, 'storm');
    const body = { userId: shop.userId, lines: [{ sku: shop.sku, quantity: 1 }], payment: PAYMENT };
    const storm = { 'idempotency-key': 'storm' };
    const answers = await Promise.all(
      Array.from({ length: 200 }, () => ask(first.url, 'POST', '/v1/orders', body, storm)),
    );
    const texts = new Set(answers.map((answer) => `${answer.status} ${JSON.stringify(answer.body)}`));
    expect([...texts]).toHaveLength(1);
    expect(answers[0]?.status).toBe(201);

    const lost = { 'idempotency-key': 'lost' };
    for (let i = 0; i < 5; i++) await postAndHangUp(first.url, body, lost);
    const found = await must(201, first.url, 'POST', '/v1/orders', body, lost);
    const { stdout } = await stopService(first);
    expect(stdout).toContain('AUTHENTICATION IS OFF');

    const second = await startService({ ...data.variables, ...STILL_ORDERS });
    const again = await must(201, second.url, 'POST', '/v1/orders', body, storm);
    expect(again.body).toEqual(answers[0]?.body);
    expect((await must(201, second.url, 'POST', '/v1/orders', body, lost)).body).toEqual(found.body);
    const other = { ...body, lines: [{ sku: shop.sku, quantity: 2 }] };
    expect((await ask(second.url, 'POST', '/v1/orders', other, storm)).status).toBe(422);
    const fresh = { 'min-position': String(found.field('position')), prefer: 'wait=10' };
    const path = `/v1/users/${shop.userId}/orders`;
    const orders = await must(200, second.url, 'GET', path, undefined, fresh);
    expect(orders.field('items')).toHaveLength(3);
    await stopService(second);
  }, 60_000);
});

describe('a service with a local key', () => {
  it('knows who asks and shows no token', async () => {
    const key = await signingKey('k1');
    const keyFile = join(data.path, 'issuer.pem');
    await writeFile(keyFile, await exportSPKI(key.publicKey));
    const service = await startService({
      ...data.variables,
      JETLEDGER_AUTH__ENABLED: 'true',
      JETLEDGER_AUTH__KEY_FILE: keyFile,
      JETLEDGER_AUTH__ISSUER: ISSUER,
      JETLEDGER_AUTH__AUDIENCE: AUDIENCE,
    });
    const exp = Math.floor(Date.now() / 1_000) + 600;
    const token = await tokenOf(key, { sub: 'ada', scope: 'users orders', iat: exp - 600, exp });
    expect((await ask(service.url, 'GET', '/v1/products')).status).toBe(401);
    expect((await ask(service.url, 'GET', '/v1/products', undefined, bearer(token))).status).toBe(200);
    const user = { email: 'own@example.com', name: 'Ada' };
    const created = await must(201, service.url, 'POST', '/v1/users', user, bearer(token));
    expect(created.field('id')).toBe('ada');
    const { stdout, stderr } = await stopService(service);
    expect(stdout + stderr).not.toContain(token.slice(-20));
    expect(stdout + stderr).not.toContain('AUTHENTICATION IS OFF');
  }, 60_000);
});

it('the bill of materials is made from the lockfile alone', () => {
  const text = execFileSync('npm', ['run', '--silent', 'sbom'], { encoding: 'utf8', maxBuffer: 2 ** 26 });
  const { bomFormat, components } = JSON.parse(text) as { bomFormat: string; components: { name: string }[] };
  expect(bomFormat).toBe('CycloneDX');
  const names = components.map(({ name }) => name);
  expect(names).toEqual(expect.arrayContaining(['fastify', 'jose']));
  expect(names).not.toContain('vitest');
});
