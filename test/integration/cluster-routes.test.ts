import { setTimeout as delay } from 'node:timers/promises';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestCluster, type TestCluster } from '../../src/testing/nats-cluster.ts';
import { until } from '../../src/testing/until.ts';
import { type CuttableRoutes, startClusterRoutes } from '../support/cluster-routes.ts';

let routes: CuttableRoutes;
let cluster: TestCluster;
/** A client of each node, with what it heard. */
let clients: { readonly connection: NatsConnection; readonly heard: Set<string> }[];

beforeAll(async () => {
  routes = await startClusterRoutes();
  cluster = await startTestCluster({ routes });
  clients = await Promise.all(
    cluster.urls.map(async (url) => {
      const connection = await connect({ servers: url, reconnect: false });
      const heard = new Set<string>();
      connection.subscribe('said', { callback: (_, msg) => void heard.add(msg.string()) });
      return { connection, heard };
    }),
  );
}, 60_000);

afterAll(async () => {
  await Promise.all(clients.map(({ connection }) => connection.close()));
  await cluster.stop();
  await routes[Symbol.asyncDispose]();
});

let said = 0;

/** What is not heard by then is taken as lost. */
const LOST_MS = 300;

/** Whether what a client says on one node is heard on another. */
async function hears(to: number, from: number, withinMs = 5_000): Promise<boolean> {
  const word = String(said++);
  clients[from]?.connection.publish('said', word);
  await clients[from]?.connection.flush();
  for (let waited = 0; waited < withinMs; waited += 10) {
    if (clients[to]?.heard.has(word)) return true;
    await delay(10);
  }
  return false;
}

async function healed(): Promise<void> {
  routes.heal();
  for (const to of [0, 1, 2]) {
    for (const from of [0, 1, 2])
      await until(`route from ${from} to ${to}`, () => hears(to, from, LOST_MS), 10_000);
  }
}

describe('the routes of a test cluster', () => {
  it('part one node from the others and not the others from each other, while clients stay', async () => {
    await healed();
    routes.cut(0);
    expect(await hears(1, 0, LOST_MS)).toBe(false);
    expect(await hears(0, 2, LOST_MS)).toBe(false);
    expect(await hears(2, 1)).toBe(true);
    expect(await hears(0, 0)).toBe(true);
    await healed();
    expect(clients.every(({ connection }) => !connection.isClosed())).toBe(true);
  });

  it('are cut one way', async () => {
    await healed();
    routes.cut(1, { ways: ['to-others'] });
    expect(await hears(0, 1, LOST_MS)).toBe(false);
    expect(await hears(1, 0)).toBe(true);
    await healed();
    routes.cut(1, { ways: ['from-others'] });
    expect(await hears(2, 1)).toBe(true);
    expect(await hears(1, 2, LOST_MS)).toBe(false);
    await healed();
  });

  it('deliver late what a cut has held back', async () => {
    await healed();
    routes.cut(2, { late: true });
    const word = said;
    expect(await hears(0, 2, LOST_MS)).toBe(false);
    routes.heal();
    await until('the late message', () => clients[0]?.heard.has(String(word)) === true, 5_000);
  });
});
