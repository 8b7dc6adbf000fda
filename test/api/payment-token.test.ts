import pino from 'pino';
import { expect, it } from 'vitest';
import { order } from '../../src/domain/order.ts';
import { codecOf, history } from '../../src/eventstore/index.ts';
import { describeDeadLetter } from '../../src/processes/engine/dead-letters/entry.ts';
import type { Reaction } from '../../src/processes/engine/reaction.ts';
import { describeCommit, folders, shownState } from '../../src/service/operators/describe.ts';
import { until } from '../../src/testing/until.ts';
import { memoryService } from '../support/memory-service.ts';
import { openSse } from '../support/sse-client.ts';
import { plantParked } from './planted.ts';
import { clientOf, field, list } from './requests.ts';

const TOKEN = 'tok_of-a-card-4711';

it('the token that pays for an order is stored for the provider and shown to nobody', async () => {
  const lines: string[] = [];
  const logger = pino({ level: 'trace' }, { write: (line: string) => lines.push(line) });
  await using service = await memoryService({ logger });
  const client = clientOf(service);
  await list(client, 'TEA');
  const body = { userId: 'u1', lines: [{ sku: 'TEA', quantity: 1 }], payment: { token: TOKEN } };
  const placed = await client.post('/v1/orders', body);
  const id = String(field(placed, 'id'));
  const commits = [];
  for await (const commit of history(service.log, { category: 'order', id }, {})) commits.push(commit);
  const [commit] = commits;
  if (commit === undefined) throw new Error('Nothing is stored.');
  const [stored] = commit.decisions[0]?.events ?? [];
  expect(stored && codecOf(order).decode(stored)).toMatchObject({ paymentToken: TOKEN });

  const events = await client.get(`/v1/orders/${id}/events`);
  expect(events.json()).toMatchObject({ items: [{ payload: { orderId: id, paymentToken: '***' } }] });
  const base = await service.app.listen({ host: '127.0.0.1', port: 0 });
  const sse = await openSse(`${base}/v1/orders/${id}/stream`);
  await until('the first event', () => sse.events.length > 0, 5_000);
  sse.close();
  expect(sse.events[0]?.data).toMatchObject({ payload: { paymentToken: '***' } });

  const reaction = { name: 'order-process', sources: [order] } as unknown as Reaction;
  const reason = { behind: false, error: new Error('x'), attempts: 1, firstAt: 1, lastAt: 1, write: 'w' };
  const dead = describeDeadLetter(reaction, commit, reason);
  expect(dead.events[0]?.payload).toMatchObject({ orderId: id, paymentToken: '***' });

  // As an earlier version kept it.
  const payload = { orderId: id, paymentToken: TOKEN };
  await plantParked(service, { id, events: [{ type: 'OrderPlaced', schemaVersion: 1, payload }] });
  const kept = await client.get(`/v1/admin/parked/order-process/order/${id}/42`);
  expect(kept.json()).toMatchObject({ events: [{ payload: { paymentToken: '***' } }] });

  const folder = folders.get('order');
  const folded = folder?.begin();
  if (folded !== undefined) folder?.fold(folded, commit);
  expect(folded?.state).toMatchObject({ paymentToken: TOKEN });
  expect(shownState(folded?.state)).toMatchObject({ status: 'placed', paymentToken: '***' });

  const shown = [
    placed.body,
    kept.body,
    (await client.get(`/v1/orders/${id}`)).body,
    JSON.stringify(describeCommit(commit)),
    ...lines,
  ];
  expect(lines.length).toBeGreaterThan(0);
  expect(shown.filter((text) => text.includes(TOKEN))).toEqual([]);
});
