import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream';
import { headers, type NatsConnection } from '@nats-io/transport-node';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { connectNats } from '../../src/platform/nats-connection.ts';
import { views } from '../../src/service/shop.ts';
import { until } from '../../src/testing/until.ts';
import { type Answer, ask, must } from '../e2e/client.ts';
import { type TracedService, type TracedWorld, tracedWorld } from './tracing-support.ts';

let world: TracedWorld;
let service: TracedService;
let connection: NatsConnection;
let jsm: JetStreamManager;
beforeAll(async () => {
  world = await tracedWorld();
  service = await world.start();
  connection = await connectNats(world.server.url, service.config.nats, 'operator');
  jsm = await jetstreamManager(connection);
});
afterAll(async () => {
  await connection.close();
  await world[Symbol.asyncDispose]();
});

/** The number of the level in a line. */
const ERROR = 50;

const readiness = ({ url }: TracedService): Promise<Answer> => ask(url, 'GET', '/health/ready');

/** Waits until readiness fails for a reason that a check gives, and returns what it says. */
async function failing({ url }: TracedService, check: string, reason: RegExp): Promise<string> {
  let detail = '';
  await until(`${check} fails: ${reason}`, async () => {
    const answer = await ask(url, 'GET', '/health/ready');
    detail = String(answer.field('checks', check, 'detail'));
    return answer.status === 503 && answer.field('checks', check, 'ok') === false && reason.test(detail);
  });
  return detail;
}

const errorLines = ({ lines }: TracedService, check: string): readonly string[] =>
  lines.filter((line) => line.level === ERROR && line.check === check).map(({ msg }) => String(msg));

it('a view whose bucket is deleted says so with a code of its own, in readiness and in the log, and comes back without a restart', async () => {
  await until('the service is ready', async () => (await readiness(service)).status === 200);
  const { url } = service;
  const price = { amountMinor: 450, currency: 'EUR' };
  const listed = await must(201, url, 'POST', '/v1/products', { sku: 'TEA', name: 'Tea', price });
  const seen = { 'min-position': String(listed.field('position')), prefer: 'wait=10' };
  await must(200, url, 'GET', '/v1/products', undefined, seen);

  const { prefix } = service.config.log;
  await jsm.streams.delete(`KV_${prefix}_products_v1`);
  await until('a list says that its view is lost', async () => {
    const { status, headers, field } = await ask(url, 'GET', '/v1/products');
    return status === 503 && headers.get('retry-after') !== null && field('code') === 'view/lost';
  });
  expect(await failing(service, 'view products', /is gone/)).toContain(`${prefix}_products_v1 is gone`);
  const answer = await readiness(service);
  expect(answer.field('checks', 'log', 'ok')).toBe(true);
  expect(answer.field('checks', 'view users', 'ok')).toBe(true);

  await until('the view is back', async () => (await ask(url, 'GET', '/v1/products')).status === 200);
  const { body } = await must(200, url, 'GET', '/v1/products', undefined, seen);
  expect(JSON.stringify(body)).toContain('"TEA"');
  await until('readiness is, too', async () => (await readiness(service)).status === 200);
  expect(errorLines(service, 'view products')).toHaveLength(1);
});

it('rows that are purged, removed or put back by another client come back by themselves, and the log names each', async () => {
  const { url } = service;
  await until('the service is ready', async () => (await readiness(service)).status === 200);
  const ids: string[] = [];
  for (const name of ['Ada', 'Bea', 'Cleo', 'Dora']) {
    const email = `${name.toLowerCase()}@example.com`;
    const user = await must(201, url, 'POST', '/v1/users', { email, name });
    ids.push(String(user.field('id')));
    await must(200, url, 'PATCH', `/v1/users/${ids.at(-1)}`, { name: `${name} Second` });
  }
  const [purged = '', removed = '', older = ''] = ids;
  const shown = (id: string) => ask(url, 'GET', `/v1/users/${id}`);
  await until('all are shown', async () =>
    (await Promise.all(ids.map(shown))).every(({ body }) => JSON.stringify(body).includes('Second')),
  );
  const before = (await Promise.all(ids.map(shown))).map(({ body }) => body);

  const { prefix } = service.config.log;
  const subjectOf = (id: string) => `$KV.${prefix}_users_v1.${id}`;
  await jsm.streams.purge(`KV_${prefix}_users_v1`, { filter: subjectOf(purged) });
  const marker = headers();
  marker.set('KV-Operation', 'DEL');
  connection.publish(subjectOf(removed), '', { headers: marker });
  connection.publish(subjectOf(older), JSON.stringify({ id: older, name: 'Cleo' }));
  await connection.flush();
  await until('one is missing', async () => (await shown(purged)).status === 404);

  await until(
    'all are back',
    async () => {
      const now = (await Promise.all(ids.map(shown))).map(({ body }) => body);
      return JSON.stringify(now) === JSON.stringify(before);
    },
    40_000,
  );
  const healed = service.lines.filter(({ msg }) => String(msg).startsWith('a row that was lost'));
  expect(healed.map(({ key }) => key).sort()).toEqual([purged, removed, older].sort());
});

it('a view whose rows are all purged fills its bucket again by itself', async () => {
  const { url } = service;
  const { prefix } = service.config.log;
  const shown = async () => (await ask(url, 'GET', '/v1/products')).body;
  const before = JSON.stringify(await shown());
  expect(before).toContain('TEA');
  await jsm.streams.purge(`KV_${prefix}_products_v2`);
  await until('they are back', async () => JSON.stringify(await shown()) === before, 40_000);
});

it('views whose aliases are deleted go on with the buckets that they have', async () => {
  const { url } = service;
  const { prefix } = service.config.log;
  const before = JSON.stringify((await ask(url, 'GET', '/v1/products')).body);
  await jsm.streams.delete(`KV_${prefix}_views`);
  await until('the aliases are back', async () => {
    const info = await jsm.streams.info(`KV_${prefix}_views`).catch(() => undefined);
    return info?.state.num_subjects === views.length;
  });
  expect(JSON.stringify((await ask(url, 'GET', '/v1/products')).body)).toBe(before);
  await until('the service is ready', async () => (await readiness(service)).status === 200);
  const names: string[] = [];
  for await (const name of jsm.streams.names(`$KV.${prefix}_products_v1.>`)) names.push(name);
  expect(names).toEqual([]);
});

it('readers whose consumers are deleted go on where they were', async () => {
  const { url } = service;
  const { stream } = service.config.log;
  const names: string[] = [];
  for await (const { name } of jsm.consumers.list(stream)) names.push(name);
  expect(names.length).toBeGreaterThan(0);
  for (const name of names) await jsm.consumers.delete(stream, name);
  const price = { amountMinor: 450, currency: 'EUR' };
  await must(201, url, 'POST', '/v1/products', { sku: 'CUP', name: 'Cup', price });
  await until(
    'the view goes on',
    async () => (await ask(url, 'GET', '/v1/products/CUP')).status === 200,
    30_000,
  );
});

it('a log whose configuration was changed under a service fails readiness with what was changed, until it is put back', async () => {
  const { stream } = service.config.log;
  const { config } = await jsm.streams.info(stream);
  const limited = { ...config, max_msgs_per_subject: 5 };
  await jsm.streams.update(stream, limited);
  expect(await failing(service, 'log configuration', /was changed/)).toMatch(
    /limit on messages per subject.*topology plan/,
  );
  await jsm.streams.update(stream, config);
  await until('the service is ready', async () => (await readiness(service)).status === 200);
});

it('a log that is deleted and made anew under a service fails its readiness until it is started again; then its old views name the rebuild', async () => {
  const { stream } = service.config.log;
  const { config } = await jsm.streams.info(stream);
  await jsm.streams.delete(stream);
  const metadata = { ...config.metadata, 'jetledger.incarnation': 'made-anew' };
  await jsm.streams.add({ ...config, metadata });
  const started = world.start();
  await failing(service, 'log', /made-anew.*Restart the service$/);
  // What was decided on the one log would be stored in the other.
  const late = await ask(service.url, 'POST', '/v1/users', { email: 'late@example.com', name: 'Late' });
  expect([late.status, late.field('code')]).toEqual([503, 'log/unavailable']);
  const next = await started;
  expect(await failing(next, 'view products', /incarnation/)).toContain('jetledger rebuild products');
  expect((await readiness(next)).field('checks', 'log', 'ok')).toBe(true);
  expect(errorLines(service, 'log').filter((line) => line.includes('made-anew'))).toHaveLength(1);
});
