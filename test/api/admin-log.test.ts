import { create } from '@bufbuild/protobuf';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LogUnavailable } from '../../src/eventstore/errors.ts';
import { CommitSchema } from '../../src/gen/jetledger/eventstore/v1/commit_pb.ts';
import { createLogTail } from '../../src/service/operators/log-tail.ts';
import { until } from '../../src/testing/until.ts';
import { fixedRuntime, type MemoryService, memoryService } from '../support/memory-service.ts';
import { openSse, type SseClient } from '../support/sse-client.ts';
import { type Client, clientOf, list, ordered } from './requests.ts';

let service: MemoryService;
let client: Client;
let base: string;
let opened: SseClient[] = [];

beforeEach(async () => {
  service = await memoryService();
  client = clientOf(service);
  base = await service.app.listen({ host: '127.0.0.1', port: 0 });
});
afterEach(async () => {
  for (const one of opened) one.close();
  opened = [];
  await service[Symbol.asyncDispose]();
});

async function follow(query = ''): Promise<SseClient> {
  const sse = await openSse(`${base}/v1/admin/log${query}`);
  opened.push(sse);
  return sse;
}
const ids = ({ events }: SseClient) => events.map(({ data }) => data.id);
const got = (sse: SseClient, count: number) =>
  until(`${count} commits`, () => sse.events.length >= count, 5_000);

describe('the log as operators follow it', () => {
  it('begins with the last that are there, and goes on with each as it is stored', async () => {
    for (const sku of ['TEA', 'MUG', 'JAR']) await list(client, sku);
    const sse = await follow('?last=2');
    await got(sse, 2);
    await list(client, 'POT');
    await got(sse, 3);
    expect(ids(sse)).toEqual(['MUG', 'JAR', 'POT']);
    const [commit] = sse.events;
    expect(commit).toMatchObject({
      event: 'commit',
      data: { category: 'product', decisions: [{ actor: 'anonymous', events: [{ type: 'ProductListed' }] }] },
    });
  });

  it('shows what all filters let through, and begins behind a position that is named', async () => {
    await list(client, 'TEA');
    const id = await ordered(client, 'u1', 'TEA');
    await client.post(`/v1/orders/${id}/cancel`, { reason: 'changed my mind' });
    const wanted = [
      ['?category=order', 2],
      [`?id=${id}&type=OrderCancelled`, 1],
      ['?type=ProductListed', 1],
      ['?actor=anonymous&category=order', 2],
    ] as const;
    for (const [query, commits] of wanted) {
      const sse = await follow(query);
      await got(sse, commits);
      expect([query, sse.events.length]).toEqual([query, commits]);
    }
    const none = await follow('?actor=somebody');
    const all = await follow();
    await got(all, 3);
    const [first] = all.events;
    const rest = await follow(`?after=${first?.data.position}`);
    await got(rest, 2);
    expect([ids(rest), none.events]).toEqual([ids(all).slice(1), []]);
    expect((await follow('?category=Order')).status).toBe(400);
  });

  it('tells a reader that is too slow how much it has missed, and keeps no more for it', async () => {
    const tail = createLogTail({ log: service.log, runtime: fixedRuntime() });
    await list(client, 'TEA');
    const [slow, quick] = [tail.watch({ last: 1 }), tail.watch({ last: 1 })];
    await Promise.all([slow.next(), quick.next()]);
    for (let n = 0; n < 620; n++) {
      const commit = create(CommitSchema, { commitId: `c${n}`, decisions: [{ commandId: `c${n}` }] });
      await service.log.append({ category: 'product', id: `P${n}` }, 0, commit);
    }
    for (let last = ''; last !== 'P619'; ) {
      const part = await quick.next();
      last = part?.commits.at(-1)?.id ?? '';
    }
    const part = await slow.next();
    expect([part?.omitted, part?.commits.length]).toEqual([120, 100]);
    slow.close();
    expect(await slow.next()).toBeUndefined();
    quick.close();
  });

  it('keeps no more bytes of large commits than of small ones', async () => {
    const tail = createLogTail({ log: service.log, runtime: fixedRuntime() });
    await list(client, 'TEA');
    const [slow, quick] = [tail.watch({ last: 1 }), tail.watch({ last: 1 })];
    await Promise.all([slow.next(), quick.next()]);
    for (let n = 0; n < 40; n++) {
      const decisions = [{ commandId: `${n} `.padEnd(1_000_000, 'x') }];
      const commit = create(CommitSchema, { commitId: `c${n}`, decisions });
      await service.log.append({ category: 'product', id: `P${n}` }, 0, commit);
    }
    for (let last = ''; last !== 'P39'; ) last = (await quick.next())?.commits.at(-1)?.id ?? '';
    const part = await slow.next();
    expect([part?.omitted, part?.commits.length]).toEqual([24, 16]);
    const late = tail.watch({ last: 500 });
    expect((await late.next())?.commits.length).toBeLessThan(32);
    for (const one of [slow, quick, late]) one.close();
  });

  it('ends for all who look on when it cannot be read, and begins anew for who comes next', async () => {
    let isAway = true;
    const head: typeof service.log.head = async () => {
      if (isAway) throw new LogUnavailable('no answer');
      return service.log.head();
    };
    const tail = createLogTail({ log: { ...service.log, head }, runtime: fixedRuntime() });
    const [one, other] = [tail.watch({ last: 9 }), tail.watch({ last: 9 })];
    await expect(one.next()).rejects.toThrow(LogUnavailable);
    await expect(other.next()).rejects.toThrow(LogUnavailable);
    isAway = false;
    await list(client, 'TEA');
    const next = tail.watch({ last: 9 });
    expect((await next.next())?.commits).toMatchObject([{ id: 'TEA' }]);
    next.close();
  });
});
