import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { connectNats } from '../../src/platform/nats-connection.ts';
import { type Answer, ask, must } from '../e2e/client.ts';
import { until } from '../support/until.ts';
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

it('a log that is deleted and made anew under a service fails its readiness until it is started again; then its old views name the rebuild', async () => {
  const { stream } = service.config.log;
  const { config } = await jsm.streams.info(stream);
  await jsm.streams.delete(stream);
  const metadata = { ...config.metadata, 'jetledger.incarnation': 'made-anew' };
  await jsm.streams.add({ ...config, metadata });
  const started = world.start();
  await failing(service, 'log', /made-anew.*Restart the service$/);
  const next = await started;
  expect(await failing(next, 'view products', /incarnation/)).toContain('jetledger rebuild products');
  expect((await readiness(next)).field('checks', 'log', 'ok')).toBe(true);
  expect(errorLines(service, 'log')).toHaveLength(1);
});
