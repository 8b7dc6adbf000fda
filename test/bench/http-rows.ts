import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { bucketName } from '../../src/projections/engine/aliases.ts';
import { must } from '../e2e/client.ts';
import { TEST_LOG } from '../support/nats-log.ts';
import type { BenchRequest } from './http-load.ts';
import { startServiceOn } from './http-service.ts';
import { openBenchShop } from './http-shop.ts';

const SHOWN = 1_000;
const AT_ONCE = 32;
const WHOLE = { prefer: 'wait=10' };

/** A shop on an empty server, with a thousand orders that have come to their end and are shown by the read model. */
export async function fillWithOrders(
  nats: string,
): Promise<{ readonly orders: readonly BenchRequest[]; readonly shown: readonly BenchRequest[] }> {
  await using service = await startServiceOn(nats, 'api,projections,processes');
  const orders = await openBenchShop(service.url);
  const shown: BenchRequest[] = [];
  let next = 0;
  const place = async (): Promise<void> => {
    for (let n = next++; n < SHOWN; n = next++) {
      const body = orders[n % orders.length]?.body;
      const placed = await must(201, service.url, 'POST', '/v1/orders', body, WHOLE);
      const path = `/v1/orders/${placed.field('id')}`;
      const fresh = { ...WHOLE, 'min-position': String(placed.field('position')) };
      await must(200, service.url, 'GET', path, undefined, fresh);
      shown.push({ path });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, place));
  return { orders, shown };
}

/** The stream that holds the rows of the read model of orders. */
export async function ordersBucket(nats: string): Promise<string> {
  const connection = await connect({ servers: nats });
  const jsm = await jetstreamManager(connection);
  const start = `KV_${bucketName(TEST_LOG.prefix, 'orders', 1).slice(0, -1)}`;
  const names: string[] = [];
  for await (const name of jsm.streams.names('$KV.>')) if (name.startsWith(start)) names.push(name);
  await connection.close();
  const [name] = names;
  if (name === undefined) throw new Error('the read model of orders has no bucket');
  return name;
}
