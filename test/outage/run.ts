import { setTimeout as delay } from 'node:timers/promises';
import { startTestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { type Answer, ask } from '../e2e/client.ts';
import { placeOrders, stockUp } from '../e2e/load.ts';
import { ordersInLog } from '../e2e/orders-in-log.ts';
import { openShop } from '../e2e/shop.ts';
import { createDataDir, runCommand, startService, stopService } from '../support/service-process.ts';

export interface OutageSettings {
  /** How long the server is away. */
  readonly awayMs: number;
  /** Clients that place one order after the other. */
  readonly callers: number;
}

export interface OutageReport {
  readonly acceptedBefore: number;
  /** Requests that were answered while the server was away. */
  readonly refused: number;
  /** Those of them that were not a 503 with Retry-After. */
  readonly odd: number;
  readonly slowestRefusalMs: number;
  /** From the server's return until orders were accepted again, and until the service said that it is ready. */
  readonly acceptsAfterMs: number;
  readonly readyAfterMs: number;
  /** Acknowledged orders: all, and those that are not in the log exactly once. */
  readonly acknowledged: number;
  readonly lost: number;
  /** Acknowledged orders that the order process has not ended within a minute. */
  readonly unfinished: number;
}

const FLOW = 50;
const READY_WITHIN_MS = 30_000;
const DONE_WITHIN_MS = 60_000;
const PACE_MS = 10;

/** A service under load loses its NATS server by SIGKILL for a while. */
export async function runOutage({ awayMs, callers }: OutageSettings): Promise<OutageReport> {
  await using server = await startTestServer({ syncAlways: true });
  await using data = await createDataDir();
  const variables = { ...data.variables, NATS_URL: server.url };
  await runCommand(['topology', 'apply', '--new-log'], variables);
  await using service = await startService(variables);
  const { url } = service;
  const shop = await openShop(url, 'outage');
  await stockUp(url, shop);
  const load = placeOrders(() => url, shop, { callers, paceMs: PACE_MS });
  await until('orders flow', () => load.accepted() >= FLOW, READY_WITHIN_MS);

  const acceptedBefore = load.accepted();
  await server.kill9();
  const since = load.all().length;
  await delay(awayMs);
  const away = load.all().slice(since);
  const accepted = load.accepted();
  const began = performance.now();
  await server.restart();
  const [acceptsAfterMs, readyAfterMs] = await Promise.all([
    resumed(began, () => load.accepted() > accepted),
    resumed(began, async () => (await ask(url, 'GET', '/health/ready')).status === 200),
  ]);
  await until('orders flow again', () => load.accepted() >= acceptedBefore + FLOW, READY_WITHIN_MS);
  await load.stop();

  const ids = load.all().flatMap((answer) => (answer.status === 201 ? [String(answer.field('id'))] : []));
  const inLog = await ordersInLog(server.url);
  const unfinished = await withoutEnd(url, ids);
  await stopService(service);
  return {
    acceptedBefore,
    refused: away.length,
    odd: away.filter((answer) => !isRefusal(answer)).length + load.unanswered.length,
    slowestRefusalMs: Math.round(Math.max(0, ...away.map(({ ms }) => ms))),
    acceptsAfterMs,
    readyAfterMs,
    acknowledged: ids.length,
    lost: ids.filter((id) => inLog.get(id) !== 1).length,
    unfinished,
  };
}

const isRefusal = ({ status, headers }: Answer): boolean =>
  status === 503 && Number(headers.get('retry-after')) >= 1;

async function resumed(began: number, holds: () => boolean | Promise<boolean>): Promise<number> {
  await until('the service resumes by itself', holds, READY_WITHIN_MS);
  return Math.round(performance.now() - began);
}

/** How many orders the order process has not ended. */
async function withoutEnd(url: string, ids: readonly string[]): Promise<number> {
  const open = new Set(ids);
  const look = async (): Promise<boolean> => {
    for (const id of open) {
      const status = (await ask(url, 'GET', `/v1/orders/${id}`)).field('status');
      if (status === undefined || status === 'placed') return false;
      open.delete(id);
    }
    return true;
  };
  await until('every order has ended', look, DONE_WITHIN_MS).catch(() => undefined);
  return open.size;
}
