import { create } from '@bufbuild/protobuf';
import { order } from '../../src/domain/order.ts';
import { codecOf } from '../../src/eventstore/codec/event-codec.ts';
import type { Log } from '../../src/eventstore/log.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { CommitSchema } from '../../src/gen/jetledger/eventstore/v1/commit_pb.ts';
import {
  CustomerValidatedSchema,
  OrderConfirmedSchema,
  OrderPlacedSchema,
  OrderStockReservedSchema,
} from '../../src/gen/jetledger/order/v1/order_pb.ts';
import { startTestServer, type TestServerOptions } from '../../src/testing/nats-server.ts';
import { createLogStream, type LogHandle, openTestLog, TEST_LOG } from '../support/nats-log.ts';

/** A busy machine shall make a measurement slow and not fail it. */
const PATIENT = { attemptTimeoutMs: 15_000, deadlineMs: 60_000 };
const EVENTS_PER_ORDER = 4;
const TRACE = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
const codec = codecOf(order);

/** A server of its own with a log of orders. */
export interface OrderLog extends LogHandle {
  readonly url: string;
}

export async function openOrderLog(options: TestServerOptions = {}): Promise<OrderLog> {
  const server = await startTestServer(options);
  await createLogStream(server.url);
  const handle = await openTestLog(server.url, TEST_LOG, PATIENT);
  const close = async (): Promise<void> => {
    await handle.close();
    await server.stop();
  };
  return { ...handle, url: server.url, close, [Symbol.asyncDispose]: close };
}

/** The id of the n-th order. */
export function orderId(n: number): string {
  return `order-${String(n).padStart(30, '0')}`;
}

function eventsOf(id: string) {
  const time = BigInt(Date.now());
  const line = { sku: 'TEA-1', name: 'Tea', quantity: 2n, unitPriceMinor: 450n, lineTotalMinor: 900n };
  const total = { currency: 'EUR', totalMinor: 900n, placedAt: time, paymentDueAt: time };
  return [
    create(OrderPlacedSchema, { orderId: id, userId: 'user-1', lines: [line], ...total }),
    create(CustomerValidatedSchema, { validatedAt: time }),
    create(OrderStockReservedSchema, { reservedAt: time }),
    create(OrderConfirmedSchema, { confirmedAt: time }),
  ];
}

/** Appends one order's four commits, each with the ids and the trace context that a request brings. */
export async function appendOrder(log: Log, id: string, pause?: () => Promise<void>): Promise<void> {
  let version = 0;
  for (const event of eventsOf(id)) {
    await pause?.();
    const commitId = systemRuntime.id();
    const ids = { commandId: systemRuntime.id(), correlationId: commitId, causationId: commitId };
    const time = BigInt(Date.now());
    const decision = { ...ids, actor: 'user-1', traceparent: TRACE, time, events: [codec.encode(event)] };
    const commit = create(CommitSchema, { commitId, decisions: [decision] });
    const result = await log.append({ category: 'order', id }, version, commit);
    if (!result.appended) throw new Error(`${id} conflicts`);
    version = result.version;
  }
}

/** Orders are worked on many at a time, so that their commits lie mixed in the log. */
export async function fillOrders(log: Log, events: number, atOnce = 256): Promise<void> {
  const count = Math.ceil(events / EVENTS_PER_ORDER);
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < count) await appendOrder(log, orderId(next++));
  };
  await Promise.all(Array.from({ length: atOnce }, work));
}
