import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '../../src/testing/until.ts';
import { ask, must } from '../e2e/client.ts';
import { type MeteredShop, openMeteredShop } from '../support/metered-shop.ts';

const NAME = 'Augusta Byron-Lovelace';
const EMAIL = 'augusta.byron@example.com';
const NEW_EMAIL = 'countess.lovelace@example.com';
const PERSONAL = /augusta|byron|lovelace|countess|example\.com/i;
const SECRETS = /a secret of sixteen|test-key|very-secret-token/;

const lines: string[] = [];
let shop: MeteredShop;
let userId = '';

const parsed = () => lines.map((line) => JSON.parse(line) as Record<string, unknown>);
const messages = () => parsed().map(({ msg }) => msg);

beforeAll(async () => {
  const write = (line: string): void => void lines.push(line);
  shop = await openMeteredShop({ JETLEDGER_LOGGING__LEVEL: 'trace' }, { write });
  userId = await shop.user(NAME, EMAIL);
  await shop.product('TEA', 3);
}, 60_000);
afterAll(async () => {
  await shop?.[Symbol.asyncDispose]();
});

describe('the log at trace level', () => {
  it('is written by everything: registrations, changes, orders and failures', async () => {
    const { url } = shop;
    await ask(url, 'POST', '/v1/users', { name: NAME, email: EMAIL });
    await ask(url, 'POST', '/v1/users', { name: NAME, email: `not an address ${EMAIL}` });
    await ask(url, 'POST', '/v1/users', { name: `\ud800${NAME}`, email: `second.${EMAIL}` });
    await ask(url, 'POST', '/v1/users', { name: 7, email: [EMAIL], surprise: NAME });
    const broken = {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: `{"email":"${EMAIL}`,
    };
    expect((await fetch(`${url}/v1/users`, broken)).status).toBe(400);
    await ask(url, 'GET', `/v1/${EMAIL}?name=${encodeURIComponent(NAME)}`);
    await ask(url, 'GET', `/v1/users/${EMAIL}`);
    await ask(url, 'GET', `/v1/users/${userId}`, undefined, {
      authorization: 'Bearer very-secret-token',
      cookie: `who=${EMAIL}`,
      'x-request-id': EMAIL,
      'idempotency-key': 'plain',
    });
    await must(200, url, 'PATCH', `/v1/users/${userId}`, { name: `${NAME} King` });
    await must(200, url, 'POST', `/v1/users/${userId}/email`, { email: NEW_EMAIL });
    await ask(url, 'POST', `/v1/users/${userId}/email`, { email: `wrong ${NEW_EMAIL}` });
    await shop.order(userId, 'TEA', 'tok_success');
    await shop.order(userId, 'TEA', 'tok_declined');
    await shop.order(userId, 'TEA', 'tok_fail_4');
    await shop.order(userId, 'TEA', 'tok_success', 50);
    await must(200, url, 'POST', `/v1/users/${userId}/deactivate`, { reason: `${NAME} asked for it` });
    await until('the notifications are out', () => shop.webhook.received.length >= 6);
    expect(messages()).toEqual(expect.arrayContaining(['request', 'command', 'event processed']));
    expect(messages()).toContain('event not processed, tried again');
    expect(lines.length).toBeGreaterThan(80);
  }, 60_000);

  it('has no name and no address of a person in any line', () => {
    expect(lines.filter((line) => PERSONAL.test(line))).toEqual([]);
  });

  it('has no secret in any line', () => {
    expect(lines.filter((line) => SECRETS.test(line))).toEqual([]);
  });

  it('has a line for each command, with category, command, outcome, version and time', () => {
    const commands = parsed().filter(({ msg }) => msg === 'command');
    const placed = commands.filter(({ category, command }) => category === 'order' && command === 'place');
    expect(placed).toHaveLength(4);
    for (const line of placed) {
      expect(line).toMatchObject({ level: 20, outcome: 'accepted', code: '', id: expect.any(String) });
      expect(line.version).toEqual(expect.any(Number));
      expect(line.ms).toEqual(expect.any(Number));
    }
    expect(commands.filter(({ outcome }) => outcome === 'rejected').length).toBeGreaterThan(0);
  });

  it('names the commit on each line of an event', () => {
    const events = parsed().filter(({ msg }) => String(msg).startsWith('event '));
    for (const line of events) {
      expect(line).toMatchObject({ position: expect.any(Number), commit_id: expect.any(String) });
    }
  });

  it('says once where the service answers', () => {
    expect(messages().filter((msg) => /listening|answers at/i.test(String(msg)))).toHaveLength(1);
  });
});
