import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { expect, it } from 'vitest';
import { startTestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { PAYMENT } from '../e2e/shop.ts';
import { makeLog, startEncrypted } from '../support/encrypted-service.ts';
import { openSse } from '../support/sse-client.ts';

const NAME = 'Augusta Byron';
const EMAIL = 'augusta.byron@example.com';
const NEW_EMAIL = 'countess.byron@example.com';
const REASON = 'Byron changed her mind';
const PERSONAL = /byron/i;

/** What a client was answered, byte for byte but for ids, times and places in the log. */
interface Told {
  readonly what: string;
  readonly status: number;
  readonly type: string | null;
  readonly text: string;
}

/** Ids by when they came first, so that two runs compare. */
function comparable(): (text: string) => string {
  const names = new Map<string, string>();
  const named = (id: string): string => {
    const known = names.get(id) ?? `id-${names.size}`;
    names.set(id, known);
    return known;
  };
  return (text) =>
    text
      .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, named)
      .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
      .replace(/"requestId":"[^"]*"/g, '"requestId":"R"')
      .replace(/"(position|next|directoryPosition)":"[^"]*"/g, '"$1":"P"')
      .replace(/"\d{13}"/g, '"TIME"')
      .replace(/"(version|position|lag|currentVersion)":\d+/g, '"$1":0');
}

/** Everything that shows something of a person, or is refused for it. */
async function tourOf(url: string): Promise<readonly Told[]> {
  const told: Told[] = [];
  const plain = comparable();
  let last = '';
  const ask = async (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) => {
    const response = await fetch(`${url}${path}`, {
      method,
      headers: { ...headers, ...(body !== undefined && { 'content-type': 'application/json' }) },
      body: body === undefined ? null : JSON.stringify(body),
    });
    const text = await response.text();
    expect(Number(response.headers.get('content-length'))).toBe(Buffer.byteLength(text));
    const answer = JSON.parse(text) as Record<string, unknown>;
    if (typeof answer.position === 'string') last = answer.position;
    const type = response.headers.get('content-type');
    const shown = path.endsWith('/events') ? JSON.stringify(ofPeople(answer.items)) : text;
    told.push({ what: `${method} ${plain(path)}`, status: response.status, type, text: plain(shown) });
    return answer;
  };
  const show = (path: string) => ask('GET', path, undefined, { 'min-position': last, prefer: 'wait=10' });

  const { id } = await ask('POST', '/v1/users', { email: EMAIL, name: 'Ada' }, { 'idempotency-key': 'one' });
  await ask('POST', '/v1/users', { email: EMAIL, name: 'Ada' }, { 'idempotency-key': 'one' });
  await ask('POST', '/v1/users', { email: EMAIL, name: 'Eve' });
  await ask('PATCH', `/v1/users/${id}`, { name: NAME });
  await ask('PATCH', `/v1/users/${id}`, { name: NAME });
  await ask('PATCH', `/v1/users/${id}`, { name: '' });
  await ask('POST', `/v1/users/${id}/email`, { email: NEW_EMAIL });
  await ask('POST', `/v1/users/${id}/email`, { email: NEW_EMAIL });
  const price = { amountMinor: 450, currency: 'EUR' };
  await ask('POST', '/v1/products', { sku: 'TEA', name: 'Tea', price });
  await ask('POST', '/v1/products/TEA/stock', { receiptId: 'r1', quantity: 50 });
  const placed = async (token: string, headers: Record<string, string> = {}) => {
    const order = { userId: id, lines: [{ sku: 'TEA', quantity: 1 }], payment: { token } };
    return String((await ask('POST', '/v1/orders', order, headers)).id);
  };
  const refunded = await placed(PAYMENT.token, { prefer: 'wait=10' });
  await ask('POST', `/v1/orders/${refunded}/refund`, { reason: REASON, restock: true });
  const cancelled = await placed('tok_never');
  const order = await openSse(`${url}/v1/orders/${cancelled}/stream`);
  const all = await openSse(`${url}/v1/orders/stream?user=${id}`);
  await ask('POST', `/v1/orders/${cancelled}/cancel`, { reason: REASON });
  await until('both streams tell of it', () => [order, all].every(hasCancelled), 10_000);
  for (const stream of [order, all]) {
    const shown = JSON.stringify(ofPeople(stream.events.map(({ data }) => data)));
    told.push({ what: 'stream', status: stream.status, type: null, text: plain(shown) });
    stream.close();
  }
  await until('both orders are settled', async () => {
    const shown = [refunded, cancelled].map(async (one) => (await fetch(`${url}/v1/orders/${one}`)).json());
    const states = (await Promise.all(shown)) as { status: string }[];
    return states[0]?.status === 'refunded' && states[1]?.status === 'cancelled';
  });
  for (const path of [refunded, cancelled].map((one) => `/v1/orders/${one}`)) {
    for (const more of ['', '/events', '?consistency=strong']) await show(`${path}${more}`);
  }
  for (const query of ['', '?namePrefix=aug', `?email=${NEW_EMAIL}`, `?email=${EMAIL}`, '?namePrefix=ada'])
    await show(`/v1/users${query}`);
  await show(`/v1/orders?user=${id}`);
  await show(`/v1/users/${id}/orders`);
  await show(`/v1/users/${id}`);
  await show(`/v1/users/${id}?consistency=strong`);
  await ask('POST', `/v1/users/${id}/deactivate`, { reason: REASON });
  await show(`/v1/users/${id}`);
  await ask('GET', '/v1/admin/parked');
  return told;
}

/** What the order process does in between may come in another order. */
function ofPeople(events: unknown): readonly unknown[] {
  const byPeople = new Set(['OrderPlaced', 'OrderCancelled', 'OrderRefundGranted']);
  return (events as readonly { type: string }[]).filter(({ type }) => byPeople.has(type));
}

function hasCancelled({ events }: { readonly events: readonly { data: unknown }[] }): boolean {
  return events.some(({ data }) => JSON.stringify(data).includes(REASON));
}

/** The streams that hold a name or an address that can be read. */
async function telling(url: string): Promise<readonly string[]> {
  const connection = await connect({ servers: url });
  const found = new Set<string>();
  const jsm = await jetstreamManager(connection);
  for await (const { config, state } of jsm.streams.list()) {
    for (let seq = state.first_seq; state.messages > 0 && seq <= state.last_seq; seq++) {
      const message = await jsm.streams.getMessage(config.name, { seq });
      const text = Buffer.from(message?.data ?? []).toString('latin1');
      if (PERSONAL.test(text)) found.add(config.name);
    }
  }
  await connection.close();
  return [...found].sort();
}

async function run(encrypt: 'auto' | 'off') {
  await using server = await startTestServer();
  const variables = { JETLEDGER_PRIVACY__ENCRYPT: encrypt };
  await makeLog(server, variables);
  await using service = await startEncrypted(server, variables);
  const told = await tourOf(service.url);
  await until('all are told', () => service.notified.length >= 4, 30_000);
  return { told, notified: service.notified.toSorted(), telling: await telling(server.url) };
}

it('a client is answered the same, byte for byte, whether names are encrypted or not', async () => {
  const [encrypted, plain] = [await run('auto'), await run('off')];
  expect(encrypted.told).toEqual(plain.told);
  expect(encrypted.notified).toEqual(plain.notified);
  expect(encrypted.told.filter(({ text }) => PERSONAL.test(text)).length).toBeGreaterThan(9);
  expect(encrypted.told.filter(({ status }) => status >= 500)).toEqual([]);
  expect(encrypted.told.filter(({ text }) => text.includes('u0001'))).toEqual([]);
  expect(encrypted.telling).toEqual([]);
  expect(plain.telling).toContain('jetledger');
}, 120_000);
