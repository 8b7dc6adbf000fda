import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { startTestServer } from '../../src/testing/nats-server.ts';
import { loadRows } from './http.ts';
import { CONNECTIONS, load, WARM_UP_SECONDS } from './http-load.ts';
import { prepareServer, startServiceOn } from './http-service.ts';
import { openBenchShop } from './http-shop.ts';
import { interleaved, secondsOf } from './measure.ts';
import type { Scenario } from './result.ts';

/** Many short rounds: what disturbs one is left out of the interval. */
const TIMES = 4;

/** What telemetry costs the commands: each side is a service of its own, all of them on one server and running all the time. */
export const telemetryScenario: Scenario = {
  name: 'telemetry',
  title: `Telemetry: \`POST /v1/orders\` over ${CONNECTIONS} connections, otherwise as shipped`,
  run: async ({ rounds, scale, print }) => {
    await using collector = await startCollector();
    const traced = (ratio: string) => ({
      JETLEDGER_TRACING__ENABLED: 'true',
      JETLEDGER_TRACING__ENDPOINT: collector.url,
      JETLEDGER_TRACING__SAMPLE_RATIO: ratio,
    });
    await using server = await startTestServer();
    await prepareServer(server.url);
    await using off = await startServiceOn(server.url, 'api', { JETLEDGER_METRICS__ENABLED: 'false' });
    await using metrics = await startServiceOn(server.url, 'api');
    await using tenth = await startServiceOn(server.url, 'api', traced('0.1'));
    await using all = await startServiceOn(server.url, 'api', traced('1'));
    const orders = await openBenchShop(off.url);
    for (const side of [off, metrics, tenth, all]) await load(side, orders, WARM_UP_SECONDS);
    const seconds = Math.max(1, secondsOf(scale) / 2);
    const measured = await interleaved(TIMES * rounds, {
      off: () => load(off, orders, seconds),
      metrics: () => load(metrics, orders, seconds),
      tenth: () => load(tenth, orders, seconds),
      all: () => load(all, orders, seconds),
    });
    print(`the collector took ${collector.exports()} exports`);
    return [
      ...loadRows('14. 10 % of the requests traced / telemetry off', measured.tenth, measured.off, 0.85),
      ...loadRows('14. all requests traced / telemetry off', measured.all, measured.off, 0.65),
      ...loadRows('14. metrics on, nothing traced / telemetry off', measured.metrics, measured.off),
    ];
  },
};

/** A collector that takes everything and keeps nothing. */
async function startCollector(): Promise<AsyncDisposable & { readonly url: string; exports(): number }> {
  let exports = 0;
  const server = createServer((request, response) => {
    request.resume().on('end', () => {
      exports++;
      response.writeHead(200).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    exports: () => exports,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
