import { expect, it } from 'vitest';
import { startTestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { applyTopology } from '../support/cli-in-process.ts';
import { startOtlpReceiver } from '../support/otlp-receiver.ts';
import { createDataDir, startService, stopService } from '../support/service-process.ts';
import { must } from './client.ts';
import { openShop, PAYMENT } from './shop.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const CALLER = '00f067aa0ba902b7';

const distinct = <T>(values: readonly T[]): T[] => [...new Set(values)].sort();
const instancesOf = (sent: readonly { readonly resource: Readonly<Record<string, string>> }[]): string[] =>
  distinct(sent.map(({ resource }) => resource['service.instance.id'] ?? 'none'));

it('OpenTelemetry variables switch on traces, metrics and lines, and two replicas are two resources', async () => {
  await using server = await startTestServer();
  await using data = await createDataDir();
  await using collector = await startOtlpReceiver();
  const variables = {
    ...data.variables,
    NATS_URL: server.url,
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    OTEL_EXPORTER_OTLP_HEADERS: 'x-key=a%20secret',
    OTEL_SERVICE_NAME: 'shop.orders',
    OTEL_RESOURCE_ATTRIBUTES: 'service.namespace=trade,deployment.environment.name=staging',
    OTEL_TRACES_SAMPLER: 'parentbased_always_off',
    OTEL_PROPAGATORS: 'b3',
    OTEL_METRIC_EXPORT_INTERVAL: '300',
    OTEL_BSP_SCHEDULE_DELAY: '100',
    OTEL_BLRP_SCHEDULE_DELAY: '100',
  };
  await applyTopology(variables);
  await using first = await startService(variables);
  await using second = await startService(variables);
  const shop = await openShop(first.url, 'otlp');
  expect(collector.spans()).toEqual([]);
  const b3 = { b3: `${TRACE}-${CALLER}-1` };
  for (const { url } of [first, second]) {
    const body = { userId: shop.userId, lines: [{ sku: shop.sku, quantity: 1 }], payment: PAYMENT };
    await must(201, url, 'POST', '/v1/orders', body, b3);
  }
  await until('both have told', () => {
    const all = [collector.spans(), collector.metrics(), collector.lines()];
    return all.every((sent) => instancesOf(sent).length === 2);
  });
  await stopService(first);
  await stopService(second);

  const [spans, metrics, lines] = [collector.spans(), collector.metrics(), collector.lines()];
  expect([instancesOf(metrics), instancesOf(lines)]).toEqual([instancesOf(spans), instancesOf(spans)]);
  for (const { resource } of [...spans, ...metrics, ...lines]) {
    expect(resource).toMatchObject({
      'service.name': 'shop.orders',
      'service.namespace': 'trade',
      'deployment.environment.name': 'staging',
    });
    expect(resource['service.instance.id']).toMatch(/^[0-9a-f-]{36}$/);
    expect(resource['service.version']).toBeDefined();
    expect(resource['process.pid']).toBeDefined();
  }
  for (const headers of collector.headers()) expect(headers['x-key']).toBe('a secret');

  const requests = spans.flatMap(({ items }) => items).filter(({ name }) => name === 'POST /v1/orders');
  expect(requests.map(({ traceId, parentSpanId }) => [traceId, parentSpanId])).toEqual([
    [TRACE, CALLER],
    [TRACE, CALLER],
  ]);
  const names = distinct(metrics.flatMap(({ items }) => items.map(({ name }) => name)));
  // Of our own counters, of our own histograms, and of the SDK's gauges.
  for (const name of ['jetledger.commands', 'http.server.request.duration', 'jetledger.nats.connected'])
    expect(names).toContain(name);
  const told = lines.flatMap(({ items }) => items);
  const ofRequests = told.filter(({ body, traceId }) => body.stringValue === 'request' && traceId === TRACE);
  expect(ofRequests.map(({ severityText }) => severityText)).toEqual(['INFO', 'INFO']);
  // From before telemetry had started, too.
  expect(told.filter(({ body }) => body.stringValue.startsWith('AUTHENTICATION IS OFF'))).toHaveLength(2);
}, 90_000);

it('OTEL_SDK_DISABLED switches everything off, whatever else is set', async () => {
  await using server = await startTestServer();
  await using data = await createDataDir();
  await using collector = await startOtlpReceiver();
  const variables = {
    ...data.variables,
    NATS_URL: server.url,
    OTEL_SDK_DISABLED: 'true',
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    JETLEDGER_METRICS__ENABLED: 'true',
    JETLEDGER_TRACING__DEV_TRACES: '5',
  };
  await applyTopology(variables);
  await using service = await startService(variables);
  await must(404, service.url, 'GET', '/v1/orders/nothing');
  for (const path of ['/metrics', '/dev/traces']) expect((await fetch(service.url + path)).status).toBe(404);
  await stopService(service);
  expect(collector.headers()).toEqual([]);
}, 60_000);
