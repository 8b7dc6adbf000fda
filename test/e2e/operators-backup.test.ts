import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../../src/testing/until.ts';
import {
  createDataDir,
  type Ended,
  runCommand,
  startService,
  stopService,
} from '../support/service-process.ts';
import { ask, must, since } from './client.ts';
import { openShop, PAYMENT } from './shop.ts';

/** Other tests may use the machine at the same time. */
const COMMAND_MS = 60_000;
const PATIENCE_MS = 30_000;
/** A client that never waits would only make the backup longer. */
const PACE_MS = 10;

let folders: string;
beforeAll(async () => {
  folders = await mkdtemp(join(tmpdir(), 'jetledger-backups-'));
});
afterAll(() => rm(folders, { recursive: true, force: true }));

const json = (ended: Ended): Record<string, unknown> => {
  if (ended.code !== 0) throw new Error(`exit code ${ended.code}: ${ended.stderr}`);
  return JSON.parse(ended.stdout) as Record<string, unknown>;
};

describe('a backup', () => {
  it('is taken under load and comes back on another server, where every order goes on to its end', async () => {
    await using old = await createDataDir();
    await using fresh = await createDataDir();
    const folder = join(folders, 'drill');
    const on =
      (data: typeof old) =>
      (...args: string[]) =>
        runCommand(args, data.variables, COMMAND_MS);
    let [token, list, cursor]: [string, string, unknown] = ['', '', undefined];
    const open: string[] = [];
    {
      await using service = await startService(old.variables);
      const { url } = service;
      const shop = await openShop(url, 'ada');
      const order = { userId: shop.userId, lines: [{ sku: shop.sku, quantity: 1 }], payment: PAYMENT };
      const placed = await must(201, url, 'POST', '/v1/orders', order, { prefer: 'wait=10' });
      token = placed.headers.get('position') ?? '';
      list = `/v1/users/${shop.userId}/orders?limit=1`;
      cursor = (await must(200, url, 'GET', list, undefined, since(placed))).field('next');
      await on(old)('consumers', 'pause', 'order-process');
      // Nobody works on these any more, on this server.
      for (let n = 0; n < 3; n++)
        open.push(String((await must(201, url, 'POST', '/v1/orders', order)).field('id')));
      let loading = true;
      let registered = 0;
      const load = (async () => {
        for (let n = 0; loading; n++) {
          const { status } = await ask(url, 'POST', '/v1/users', { email: `u${n}@example.com`, name: 'U' });
          if (status === 201) registered++;
          await delay(PACE_MS);
        }
      })();
      await until('there is load', () => registered > 5);
      const before = registered;
      const taken = json(await on(old)('backup', folder, '--json'));
      loading = false;
      await load;
      expect(registered).toBeGreaterThan(before);
      expect(taken).toMatchObject({ log: { stream: 'jetledger', prefix: 'jl' } });
      const left = taken.leftOut as { name: string; why: string }[];
      expect(left.filter(({ why }) => why.startsWith('not known'))).toEqual([]);
      const compared = json(await on(old)('verify', folder, '--live', '--json'));
      expect(compared).toMatchObject({ ok: true, mismatches: [] });
      await stopService(service);
    }

    const ledger = `${folder}.forgotten`;
    expect((await on(old)('forgotten', ledger)).stdout).toContain('0 persons');
    for (const key of ['email.key', 'master.key']) await copyFile(join(old.path, key), join(fresh.path, key));
    const restored = json(await on(fresh)('restore', folder, '--forgotten', ledger, '--json'));
    const again = await on(fresh)('restore', folder);
    expect([again.code, again.stderr]).toEqual([1, expect.stringContaining('not empty')]);
    await using service = await startService(fresh.variables);
    const { url } = service;
    expect(json(await on(fresh)('verify', folder, '--live', '--json'))).toMatchObject({
      ok: true,
      mismatches: [],
    });
    expect(restored.incarnation).toMatch(/^[0-9a-f-]{36}$/);
    // What was handed out in the old incarnation is refused and not misread.
    expect(token).toContain('@');
    expect((await ask(url, 'GET', list, undefined, { 'min-position': token })).status).toBe(412);
    expect((await ask(url, 'GET', `${list}&cursor=${String(cursor)}`)).status).toBe(400);
    await on(fresh)('consumers', 'resume', 'order-process');
    for (const id of open) {
      await until(
        'it is final',
        async () => {
          const { field } = await ask(url, 'GET', `/v1/orders/${id}?consistency=strong`);
          return field('status') === 'confirmed';
        },
        PATIENCE_MS,
      );
    }
    const more = await openShop(url, 'eve');
    await until(
      'new orders are confirmed',
      async () => {
        const { field } = await ask(url, 'GET', `/v1/orders/${more.orderId}?consistency=strong`);
        return field('status') === 'confirmed';
      },
      PATIENCE_MS,
    );
  }, 120_000);
});
