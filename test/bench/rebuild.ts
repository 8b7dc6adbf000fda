import { create } from '@bufbuild/protobuf';
import { order } from '../../src/domain/order.ts';
import { codecOf } from '../../src/eventstore/event-codec.ts';
import type { Log } from '../../src/eventstore/log.ts';
import { createNatsBuckets } from '../../src/eventstore/nats/nats-buckets.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { CommitSchema } from '../../src/gen/jetledger/eventstore/v1/commit_pb.ts';
import {
  CustomerValidatedSchema,
  OrderConfirmedSchema,
  OrderPlacedSchema,
  OrderStockReservedSchema,
} from '../../src/gen/jetledger/order/v1/order_pb.ts';
import { rebuild } from '../../src/projections/rebuild.ts';
import { orders } from '../../src/projections/views/orders.ts';
import { createLogStream, openTestLog } from '../support/nats-log.ts';
import { startTestServer } from '../support/nats-server.ts';

/**
 * Rebuild of `orders`, 4 events to an order, against a bare replay of the same log in the same run.
 * `npx tsx test/bench/rebuild.ts [events] [rounds]`; not part of the tests.
 */
const EVENTS = Number(process.argv[2] ?? 200_000);
const ROUNDS = Number(process.argv[3] ?? 3);
const IN_FLIGHT = 256;
const codec = codecOf(order);

function eventsOf(id: string) {
  const time = 1_900_000_000_000n;
  const line = { sku: 'TEA-1', name: 'Tea', quantity: 2n, unitPriceMinor: 450n, lineTotalMinor: 900n };
  const total = { currency: 'EUR', totalMinor: 900n, placedAt: time, paymentDueAt: time };
  return [
    create(OrderPlacedSchema, { orderId: id, userId: 'user-1', lines: [line], ...total }),
    create(CustomerValidatedSchema, { validatedAt: time }),
    create(OrderStockReservedSchema, { reservedAt: time }),
    create(OrderConfirmedSchema, { confirmedAt: time }),
  ];
}

/** Orders are worked on many at a time, so that their commits lie mixed in the log. */
async function fill(log: Log, count: number): Promise<void> {
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < count) {
      const id = `order-${String(next++).padStart(30, '0')}`;
      let version = 0;
      for (const event of eventsOf(id)) {
        const commitId = systemRuntime.id();
        const decision = { commandId: commitId, time: 1_900_000_000_000n, events: [codec.encode(event)] };
        const commit = create(CommitSchema, { commitId, decisions: [decision] });
        const result = await log.append({ category: 'order', id }, version, commit);
        if (!result.appended) throw new Error(`${id} conflicts`);
        version = result.version;
      }
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, work));
}

async function perSecond(work: () => Promise<number>): Promise<number> {
  const start = performance.now();
  return Math.round((await work()) / ((performance.now() - start) / 1_000));
}

async function replay(log: Log): Promise<number> {
  let commits = 0;
  for await (const batch of log.scan({ after: 0 })) commits += batch.commits.length;
  return commits;
}

await using server = await startTestServer();
await createLogStream(server.url);
await using opened = await openTestLog(server.url);
const { log, requests } = opened;
console.log(`filling the log with ${EVENTS} events`);
await fill(log, EVENTS / 4);
const buckets = createNatsBuckets({
  requests,
  runtime: systemRuntime,
  replicas: 1,
  timeoutMs: 5_000,
  announceLosses: true,
});
const ratios: number[] = [];
const megabytes = () => Math.round(process.memoryUsage().rss / 2 ** 20);
for (let round = 0; round < ROUNDS; round++) {
  const bare = await perSecond(() => replay(log));
  let peak = 0;
  const rebuilt = await perSecond(async () => {
    // A service follows within `resolveMs`; none runs here, so nothing is fed after the switch.
    const settings = { prefix: 'jl', resolveMs: 0, graceMs: 0 };
    const onProgress = () => {
      peak = Math.max(peak, megabytes());
    };
    await rebuild({ log, buckets, projection: orders, runtime: systemRuntime, settings, onProgress });
    return EVENTS;
  });
  ratios.push(rebuilt / bare);
  console.log(
    `replay ${bare}/s, rebuild ${rebuilt}/s, ratio ${(rebuilt / bare).toFixed(2)}, RSS ${peak} MiB`,
  );
}
ratios.sort((a, b) => a - b);
console.log(`median ratio ${ratios[Math.floor(ratios.length / 2)]?.toFixed(2)}`);
