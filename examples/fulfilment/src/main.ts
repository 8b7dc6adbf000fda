import { openLedger } from 'jetledger';
import { pino } from 'pino';
import { buildApp } from './app.ts';
import { followOrders, readShippingSettings, shipOrders } from './orders.ts';
import { aggregates, prefix, reactions, views } from './service.ts';
import { readSettings } from './settings.ts';
import { startTelemetry } from './telemetry.ts';

const settings = readSettings(process.env);
const shipping = readShippingSettings(process.env);
const logger = pino({ level: settings.logLevel });
const telemetry = startTelemetry(process.env);
const announce = async (announcement: object): Promise<void> => logger.info(announcement, 'announced');

const ledger = await openLedger({
  prefix,
  aggregates,
  views,
  reactions: (parts) => [...reactions.map(({ create }) => create({ announce }, parts)), shipOrders(shipping)],
  nats: { url: settings.natsUrl, monitorUrls: settings.natsMonitorUrls },
  settings: { name: prefix },
  observers: telemetry.observers,
  onTrouble: (what, err) => logger.warn({ err }, what),
});
const orders = await followOrders(ledger, shipping);
const app = await buildApp(ledger, { loggerInstance: logger });

let stopping = false;
/** Answers what is under way, writes what waits, and ends; at once when asked again. */
async function stop(): Promise<void> {
  if (stopping) process.exit(1);
  stopping = true;
  await app.close();
  await orders.stop();
  await ledger.close();
  await telemetry.stop();
}
process.on('SIGTERM', stop);
process.on('SIGINT', stop);

await app.listen({ host: settings.host, port: settings.port });
