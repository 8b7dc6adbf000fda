import { create } from '@bufbuild/protobuf';
import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  CommitSchema,
  DecisionSchema,
  EventSchema,
} from '../../src/gen/jetledger/eventstore/v1/commit_pb.ts';
import { until } from '../../src/testing/until.ts';
import { ask, must } from '../e2e/client.ts';
import { openTestLog } from '../support/nats-log.ts';
import { parseScrape, sumOf } from '../support/prometheus-text.ts';
import { type TracedService, type TracedWorld, tracedWorld } from './tracing-support.ts';

let world: TracedWorld;
let service: TracedService;
beforeAll(async () => {
  world = await tracedWorld();
  service = await world.start();
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

/** Stores a commit of a later version of the product, and returns its position. */
async function appendFromTheFuture(category: string, id: string): Promise<number> {
  await using handle = await openTestLog(world.server.url);
  const event = create(EventSchema, { type: 'UserPromoted', schemaVersion: 1, data: new Uint8Array([8, 1]) });
  const decision = create(DecisionSchema, { commandId: 'future', actor: 'test', time: 1n, events: [event] });
  const commit = create(CommitSchema, { commitId: 'from-the-future', decisions: [decision] });
  const result = await handle.log.append({ category, id }, 0, commit);
  if (!result.appended) throw new Error('refused');
  return result.version;
}

it('a view that an unknown event stops is named by readiness, with position, lag and error, and by the metrics', async () => {
  const { url } = service;
  await until('the service is ready', async () => (await ask(url, 'GET', '/health/ready')).status === 200);
  const stopped = await appendFromTheFuture('user', 'someone');
  // The log moves on, for the other views too.
  const price = { amountMinor: 450, currency: 'EUR' };
  const listed = await must(201, url, 'POST', '/v1/products', { sku: 'TEA', name: 'Tea', price });
  const position = Number(listed.field('position'));
  const shown = await must(200, url, 'GET', '/v1/products/TEA', undefined, {
    'min-position': String(position),
    prefer: 'wait=10',
  });
  expect(shown.field('sku')).toBe('TEA');

  let checks: Record<string, { ok: boolean; detail?: string }> = {};
  await until('readiness says so', async () => {
    const answer = await ask(url, 'GET', '/health/ready');
    checks = answer.field('checks') as typeof checks;
    return answer.status === 503;
  });
  const failing = Object.keys(checks).filter((name) => checks[name]?.ok === false);
  expect(failing).toContain('view users');
  expect(failing).not.toContain('view products');
  const detail = checks['view users']?.detail ?? '';
  expect(detail).toMatch(new RegExp(`^position ${stopped - 1}, [1-9]\\d* behind, .*UserPromoted`));

  await until('the metrics that the alerts read say so', async () => {
    const samples = parseScrape(await (await fetch(`${url}/metrics`)).text());
    const of = (name: string, view: string) => sumOf(samples, `jetledger_view_${name}`, { view });
    return of('running', 'users') === 0 && of('lag_events', 'users') > 0 && of('running', 'products') === 1;
  });
  const lines = service.lines.filter(({ msg }) => msg === 'a view has stopped');
  expect(lines.map(({ view }) => view)).toContain('users');
  const late = await ask(url, 'GET', '/v1/users/someone', undefined, {
    'min-position': String(position),
    prefer: 'wait=0',
  });
  expect([late.status, late.field('code')]).toEqual([504, 'view/behind']);
  expect(late.field('lag')).toBe(position - stopped + 1);
});
