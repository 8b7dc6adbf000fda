import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { until } from '../../src/testing/until.ts';
import { ask, must } from '../e2e/client.ts';
import { type MeteredShop, openMeteredShop } from '../support/metered-shop.ts';
import { labelsIn, metricsIn, parseScrape, type Sample, sumOf } from '../support/prometheus-text.ts';
import { findPromtool } from '../support/promtool.ts';

const CONFIGS = fileURLToPath(new URL('../../configs', import.meta.url));

const promtool = await findPromtool();

let shop: MeteredShop;
let text = '';
let samples: readonly Sample[] = [];

beforeAll(async () => {
  // A cache of one aggregate, so that commands meet snapshots.
  shop = await openMeteredShop({
    JETLEDGER_COMMANDS__CACHE_ENTRIES: '1',
    JETLEDGER_TRACING__DEV_TRACES: '10',
    JETLEDGER_TRACING__SAMPLE_RATIO: '0',
  });
  const userId = await shop.user('Ada', 'ada@example.com');
  await shop.product('TEA', 5);
  expect((await shop.order(userId, 'TEA', 'tok_success')).field('status')).toBe('confirmed');
  expect((await shop.order(userId, 'TEA', 'tok_declined')).field('status')).toBe('rejected');
  expect((await shop.order(userId, 'TEA', 'tok_success', 9)).field('status')).toBe('rejected');
  await ask(shop.url, 'POST', '/v1/users', { name: 'Ada', email: 'ada@example.com' });
  await ask(shop.url, 'GET', '/v1/nobody/knows/this');
  await until('snapshots were written and are used, and the notifications are out', async () => {
    await must(200, shop.url, 'POST', '/v1/products/TEA/stock', {
      receiptId: crypto.randomUUID(),
      quantity: 1,
    });
    await must(200, shop.url, 'GET', `/v1/users/${userId}?consistency=strong`);
    text = await shop.scrape();
    samples = parseScrape(text);
    const told = sumOf(samples, 'jetledger_notifications_total', { outcome: 'sent' });
    return sumOf(samples, 'jetledger_snapshot_age_commits_count') > 0 && told >= 3;
  });
}, 60_000);
afterAll(async () => {
  await shop?.[Symbol.asyncDispose]();
});

describe('GET /metrics of a service with traffic', () => {
  it('is text that Prometheus reads', async () => {
    const answer = await fetch(`${shop.url}/metrics`);
    expect(answer.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
    await answer.body?.cancel();
  });

  it.runIf(promtool.path !== undefined)(
    `breaks no rule of the real promtool${promtool.path === undefined ? ` (NOT RUN: ${promtool.missing})` : ''}`,
    () => {
      const checked = spawnSync(String(promtool.path), ['check', 'metrics'], {
        input: text,
        encoding: 'utf8',
      });
      expect([checked.status, checked.stdout + checked.stderr]).toEqual([0, '']);
    },
  );

  it.each([
    [
      'http_server_request_duration_seconds_count',
      'http_request_method,http_response_status_code,http_route',
    ],
    ['http_server_active_requests', ''],
    [
      'http_client_request_duration_seconds_count',
      'error_type,http_request_method,http_response_status_code,server,server_address,server_port',
    ],
    [
      'messaging_client_operation_duration_seconds_count',
      'error_type,messaging_operation_name,messaging_operation_type,messaging_system',
    ],
    [
      'messaging_process_duration_seconds_count',
      'error_type,messaging_consumer_group_name,messaging_operation_name,messaging_operation_type,messaging_system',
    ],
    ['jetledger_commands_total', 'category,code,command,outcome'],
    ['jetledger_command_duration_seconds_count', 'category,outcome'],
    ['jetledger_command_retries_total', 'category'],
    ['jetledger_events_appended_total', 'category,type'],
    ['jetledger_append_duration_seconds_count', 'outcome'],
    ['jetledger_append_repeats_total', ''],
    ['jetledger_state_loads_total', 'source'],
    ['jetledger_snapshot_age_commits_count', ''],
    ['jetledger_cached_aggregates', ''],
    ['jetledger_cached_bytes', ''],
    ['jetledger_snapshots_remade_total', ''],
    ['jetledger_log_position', ''],
    ['jetledger_log_foreign_messages', ''],
    ['jetledger_view_position', 'view'],
    ['jetledger_view_lag_events', 'view'],
    ['jetledger_view_lag_seconds', 'view'],
    ['jetledger_view_running', 'view'],
    ['jetledger_view_parked_rows', 'view'],
    ['jetledger_view_applied_commits_total', 'view'],
    ['jetledger_view_write_duration_seconds_count', 'view'],
    ['jetledger_consumer_lag_events', 'consumer'],
    ['jetledger_consumer_lag_seconds', 'consumer'],
    ['jetledger_consumer_parked', 'consumer'],
    ['jetledger_consumer_paused', 'consumer'],
    ['jetledger_consumer_retrying', 'consumer'],
    ['jetledger_consumer_stopped', 'consumer'],
    ['jetledger_consumer_processed_total', 'consumer,outcome'],
    ['jetledger_consumer_processing_duration_seconds_count', 'consumer,outcome'],
    ['jetledger_orders_total', 'code,status,step'],
    ['jetledger_webhook_deliveries_total', 'outcome'],
    ['jetledger_notifications_total', 'kind,outcome'],
    ['jetledger_notifications_parked', ''],
    ['jetledger_timers_fired_total', 'kind'],
    ['jetledger_timers_overdue', ''],
    ['jetledger_nats_connected', ''],
    ['jetledger_nats_reconnects_total', ''],
    ['jetledger_nats_server_storage_bytes', 'server'],
    ['jetledger_nats_server_storage_limit_bytes', 'server'],
    ['jetledger_nats_server_memory_bytes', 'server'],
    ['jetledger_nats_server_slow_consumers', 'server'],
    ['jetledger_nats_server_cpu_percent', 'server'],
    ['jetledger_nats_server_sync_always', 'server'],
    ['jetledger_nats_server_healthy', 'server'],
    ['jetledger_nats_log_has_leader', ''],
    ['jetledger_nats_log_replicas', ''],
    ['jetledger_nats_log_replicas_current', ''],
    ['jetledger_traces_dropped_total', ''],
    ['process_cpu_seconds_total', ''],
    ['process_resident_memory_bytes', ''],
    ['nodejs_heap_used_bytes', ''],
    ['nodejs_eventloop_delay_p50_seconds', ''],
    ['nodejs_eventloop_delay_p99_seconds', ''],
    ['nodejs_eventloop_utilization', ''],
  ])('has %s with the labels "%s"', (name, labels) => {
    const shown = samples.filter((sample) => sample.name === name);
    expect(shown.length).toBeGreaterThan(0);
    for (const sample of shown) expect(Object.keys(sample.labels).sort().join(',')).toBe(labels);
  });

  it('has what the table of docs/telemetry.md lists, with those labels, and nothing else', () => {
    const there = new Map<string, string>();
    for (const { name, labels } of samples) {
      const plain = name.replace(/_count$/, '');
      if (!/_(bucket|sum)$/.test(name)) there.set(plain, Object.keys(labels).sort().join(','));
    }
    // Describes the process and not what it does; not ours.
    there.delete('target_info');
    expect(Object.fromEntries([...there].sort())).toEqual(Object.fromEntries([...documented()].sort()));
  });

  it('tells what became of orders: the step that failed and why', () => {
    const orders = (labels: Record<string, string>) => sumOf(samples, 'jetledger_orders_total', labels);
    expect(orders({ status: 'placed' })).toBe(3);
    expect(orders({ status: 'confirmed' })).toBe(1);
    expect(orders({ status: 'rejected', step: 'payment', code: 'payment/card_declined' })).toBe(1);
    expect(orders({ status: 'rejected', step: 'inventory', code: 'inventory/insufficient-stock' })).toBe(1);
  });

  it('tells commands by outcome, and the code of a refusal', () => {
    const commands = (labels: Record<string, string>) => sumOf(samples, 'jetledger_commands_total', labels);
    expect(commands({ category: 'order', command: 'place', outcome: 'accepted', code: '' })).toBe(3);
    expect(commands({ category: 'email', outcome: 'rejected' })).toBeGreaterThan(0);
    expect(
      sumOf(samples, 'jetledger_events_appended_total', { category: 'order', type: 'OrderPlaced' }),
    ).toBe(3);
    expect(sumOf(samples, 'jetledger_append_duration_seconds_count', { outcome: 'stored' })).toBeGreaterThan(
      10,
    );
  });

  it('tells routes as patterns, and every unknown path as one', () => {
    const routes = new Set(
      samples
        .filter(({ name }) => name === 'http_server_request_duration_seconds_count')
        .map(({ labels }) => labels.http_route ?? ''),
    );
    expect([...routes]).toContain('/v1/orders/:id');
    expect([...routes]).toContain('unknown');
    expect([...routes].filter((route) => /health|metrics|[0-9a-f]{8}-/.test(route))).toEqual([]);
  });

  it('tells payments and webhooks apart, with the status of a declined payment', () => {
    const calls = (labels: Record<string, string>) =>
      sumOf(samples, 'http_client_request_duration_seconds_count', labels);
    expect(calls({ server: 'payment', http_response_status_code: '402', error_type: '402' })).toBe(1);
    expect(calls({ server: 'webhook', http_response_status_code: '204', error_type: '' })).toBeGreaterThan(2);
  });

  it('has the buckets that every duration has', () => {
    const bounds = new Set(
      samples
        .filter(({ name }) => name === 'jetledger_command_duration_seconds_bucket')
        .map(({ labels }) => labels.le),
    );
    expect([...bounds]).toEqual(
      '0.0005 0.001 0.0025 0.005 0.01 0.025 0.05 0.1 0.25 0.5 1 2.5 5 10 +Inf'.split(' '),
    );
  });

  it('is hidden from the OpenAPI document', async () => {
    const document = await must(200, shop.url, 'GET', '/openapi.json');
    expect(document.field('paths', '/metrics')).toBeUndefined();
  });

  it('says in readiness how the NATS server is', async () => {
    const look = () => must(200, shop.url, 'GET', '/health/ready');
    // What was looked up while streams were made, on a busy machine, may say that the server was not healthy.
    await until(
      'the server is healthy',
      async () => !String((await look()).field('checks', 'nats server', 'detail')).includes('unhealthy'),
    );
    const ready = await look();
    expect(ready.field('checks', 'nats server', 'ok')).toBe(true);
    expect(String(ready.field('checks', 'nats server', 'detail'))).toMatch(
      /^log led by jetledger, 1 of 1 copies current; jetledger 2\.\d+\.\d+, [\d.]+ % of its storage used, [1-9]\d* MiB of memory, 0 slow consumers, sync delayed$/,
    );
  });

  it('does not grow with the ids it sees', async () => {
    const seriesOf = async () =>
      new Set(parseScrape(await shop.scrape()).map(({ name, labels }) => name + JSON.stringify(labels)));
    const price = { amountMinor: 1, currency: 'EUR' };
    const kinds = [
      (id: string) => ask(shop.url, 'GET', `/v1/orders/${id}`),
      (id: string) => ask(shop.url, 'GET', `/unknown/${id}`),
      (id: string) => ask(shop.url, 'POST', `/v1/users/${id}/deactivate`, { reason: id }),
      (id: string) => ask(shop.url, 'POST', '/v1/products', { sku: id.toUpperCase(), name: id, price }),
    ];
    const drive = async (from: number, to: number) => {
      for (let first = from; first < to; first += 25) {
        const ids = Array.from({ length: 25 }, (_, offset) => first + offset);
        await Promise.all(ids.map((id) => kinds[id % kinds.length]?.(`bound-${id}`)));
      }
    };
    await drive(0, 25);
    const before = await seriesOf();
    await drive(25, 525);
    const after = await seriesOf();
    expect([...after].filter((series) => !before.has(series))).toEqual([]);
  }, 60_000);
});

describe('GET /metrics while NATS does not answer', () => {
  it('answers all the same, says so, and counts the reconnect afterwards', async () => {
    const connected = async () => sumOf(parseScrape(await shop.scrape()), 'jetledger_nats_connected');
    await shop.nats('SIGSTOP');
    try {
      await until('the connection is known to be lost', async () => (await connected()) === 0);
      expect(sumOf(parseScrape(await shop.scrape()), 'process_cpu_seconds_total')).toBeGreaterThan(0);
    } finally {
      await shop.nats('SIGCONT');
    }
    await until('it is back', async () => (await connected()) === 1);
    expect(sumOf(parseScrape(await shop.scrape()), 'jetledger_nats_reconnects_total')).toBeGreaterThan(0);
  }, 40_000);
});

/** The metrics in the table of the documentation, and the labels of each. */
function documented(): Map<string, string> {
  const page = readFileSync(fileURLToPath(new URL('../../docs/telemetry.md', import.meta.url)), 'utf8');
  const names = (cell = ''): string[] => [...cell.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name);
  const rows = page
    .split('\n')
    .filter((line) => /^\| `(http|messaging|jetledger|process|nodejs)_/.test(line));
  return new Map(
    rows.flatMap((row) => {
      const [, metrics, , labels] = row.split('|');
      return names(metrics).map((name): [string, string] => [name, names(labels).sort().join(',')]);
    }),
  );
}

interface Read {
  readonly where: string;
  readonly expression: string;
}

function rules(): Read[] {
  const files = readdirSync(`${CONFIGS}/alerts`).filter((name) => name.endsWith('.yaml'));
  return files.flatMap((file) => {
    const { groups } = parse(readFileSync(`${CONFIGS}/alerts/${file}`, 'utf8')) as {
      groups: { rules: { alert: string; expr: string }[] }[];
    };
    return groups.flatMap((group) =>
      group.rules.map(({ alert, expr }) => ({ where: alert, expression: expr })),
    );
  });
}

function panels(): Read[] {
  return readdirSync(`${CONFIGS}/grafana`).flatMap((file) => {
    const dashboard = JSON.parse(readFileSync(`${CONFIGS}/grafana/${file}`, 'utf8')) as {
      panels: { title: string; targets: { expr: string }[] }[];
    };
    return dashboard.panels.flatMap(({ title, targets }) =>
      targets.map(({ expr }) => ({ where: `${file}: ${title}`, expression: expr })),
    );
  });
}

/** What an expression reads that is not there, be it a metric or a label of one of its metrics. */
function missing({ where, expression }: Read, there: readonly Sample[]): string[] {
  const names = metricsIn(expression);
  const known = there.filter(({ name }) => names.includes(name));
  const labels = new Set(known.flatMap((sample) => Object.keys(sample.labels)));
  return [
    ...names.filter((name) => !there.some((sample) => sample.name === name)),
    ...labelsIn(expression).filter((label) => !labels.has(label)),
  ].map((what) => `${where}: ${what}`);
}

describe('rules and panels', () => {
  it('are many, and each reads some metric', () => {
    expect(rules().length).toBeGreaterThan(10);
    expect(panels().length).toBeGreaterThan(40);
    for (const read of [...rules(), ...panels()])
      expect(metricsIn(read.expression).length, read.where).toBeGreaterThan(0);
  });

  it('read only metrics and labels that a running service has', () => {
    expect([...rules(), ...panels()].flatMap((read) => missing(read, samples))).toEqual([]);
  });

  it('would be found out if they did not', () => {
    const planted = {
      where: 'x',
      expression: 'sum by (viewer) (rate(jetledger_view_gone{a="b"}[5m])) > jetledger_log_position',
    };
    expect(missing(planted, samples)).toEqual(['x: jetledger_view_gone', 'x: a', 'x: viewer']);
  });
});
