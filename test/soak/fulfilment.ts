import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { Log } from '../../src/eventstore/log.ts';
import type { TestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { builtFulfilment, FULFILMENT_LOG, startFulfilment } from '../support/fulfilment.ts';
import { openTestLog } from '../support/nats-log.ts';
import type { Running } from '../support/service-process.ts';
import type { Fleet } from './fleet.ts';
import { deadLettersOn } from './report.ts';
import { compareShipments, parcelsOf, type ShipmentsReport, shipmentsOf } from './shipments.ts';

/** Two processes of examples/fulfilment, which ship what the shop has confirmed. */
export interface SecondService extends AsyncDisposable {
  /** Ends one of them with SIGKILL and starts it again. @param random in [0, 1) */
  kill(random: number): Promise<void>;
  /** Waits until it has nothing left to do, and compares its own log and dead letters with the shop's log. */
  compare(log: Log): Promise<ShipmentsReport>;
}

const PROCESSES = 2;
/** Its reactions to its own log, and to the shop's public events. */
const CONSUMERS_OF = [FULFILMENT_LOG.prefix, 'fulfilment_orders'];
/** So that some orders are shipped by hand and some are refunded before. */
const PACKING_MS = 1_500;
const AGAIN_MS = 500;
const REST_MS = 120_000;
/** A day: no run is longer. */
const LONGEST_MS = 86_400_000;

/** Makes the service, which takes a while where nothing of it is there yet, and starts it. */
export async function startSecondService(
  nats: TestServer,
  fleet: Fleet,
  random: () => number,
): Promise<SecondService> {
  const program = await builtFulfilment();
  // The instances answer on other ports whenever they start: each request is sent on to one that there is.
  const door = createServer(({ url }, response) => {
    try {
      response.writeHead(307, { location: `${fleet.pick(random)}${url}` }).end();
    } catch {
      // None runs just now.
      response.writeHead(503).end();
    }
  });
  await new Promise<void>((resolve) => door.listen(0, '127.0.0.1', resolve));
  const shopUrl = `http://127.0.0.1:${(door.address() as AddressInfo).port}`;
  const slots: (Running | undefined)[] = Array.from({ length: PROCESSES }, () => undefined);

  const start = (index: number): void => {
    const running = startFulfilment(program, nats, { shopUrl, packingMs: PACKING_MS });
    slots[index] = running;
    // One that refuses to start, because NATS is away just now, is started again.
    void running
      .ended(LONGEST_MS)
      .then(() => delay(AGAIN_MS))
      .then(() => {
        if (slots[index] === running) start(index);
      });
  };
  const end = async (index: number): Promise<void> => {
    const running = slots[index];
    slots[index] = undefined;
    await running?.[Symbol.asyncDispose]();
  };
  for (const index of slots.keys()) start(index);
  return {
    kill: async (random) => {
      const index = Math.floor(random * PROCESSES);
      await end(index);
      start(index);
    },
    compare: async (log) => {
      await using own = await openTestLog(nats.url, FULFILMENT_LOG);
      let found: ShipmentsReport = compareShipments(await parcelsOf(log), new Map());
      const isDone = async (): Promise<boolean> => {
        const letters = await Promise.all(CONSUMERS_OF.map((prefix) => deadLettersOn(own, prefix)));
        found = compareShipments(await parcelsOf(log), await shipmentsOf(own.log, letters.flat()));
        return found.violations.length === 0;
      };
      await until('the second service is at rest', isDone, REST_MS).catch(() => undefined);
      return found;
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all([...slots.keys()].map(end));
      door.closeAllConnections();
      await new Promise((resolve) => door.close(resolve));
    },
  };
}
