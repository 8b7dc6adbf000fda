import { describe, expect, it } from 'vitest';
import { cachedReading, meterProcess } from '../../../src/platform/telemetry/gauges.ts';
import { until } from '../../../src/testing/until.ts';
import { startHttpServer } from '../../contract/payment-server.ts';
import { testMeter } from '../../support/meter.ts';
import { parseScrape } from '../../support/prometheus-text.ts';

describe('metrics', () => {
  it('are scraped under their names with the unit once, and counters with _total once', async () => {
    await using numbers = await testMeter();
    const { meter, metrics } = numbers;
    meter.createHistogram('a.duration', { unit: 's' }).record(0.003, { 'x.y': 'z' });
    meter.createCounter('b.made').add(2);
    meter.createObservableCounter('c.cpu', { unit: 's' }).addCallback((result) => result.observe(1.5));
    meter.createObservableGauge('d.lag.seconds', { unit: 's' }).addCallback((result) => result.observe(4));
    meter.createObservableGauge('e.size', { unit: 'By' }).addCallback((result) => result.observe(5));
    const samples = parseScrape(await metrics.scrape());
    const plain = samples.filter(({ name }) => !name.endsWith('_bucket'));
    expect(plain.map(({ name, labels, value }) => [name, labels, value])).toEqual([
      ['a_duration_seconds_count', { x_y: 'z' }, 1],
      ['a_duration_seconds_sum', { x_y: 'z' }, 0.003],
      ['b_made_total', {}, 2],
      ['c_cpu_seconds_total', {}, 1.5],
      ['d_lag_seconds', {}, 4],
      ['e_size_bytes', {}, 5],
    ]);
  });

  it('are one series for the same labels, whichever object holds them, in whichever order', async () => {
    await using numbers = await testMeter();
    const { meter, sum } = numbers;
    const made = meter.createCounter('made');
    const labels = { a: '1', b: '2' };
    made.add(1, labels);
    made.add(2, labels);
    made.add(4, { b: '2', a: '1' });
    meter.createCounter('made').add(8, { a: '1', b: '2' });
    made.add(16, { a: '1' });
    expect(await sum('made_total', { a: '1', b: '2' })).toBe(15);
    expect(await sum('made_total')).toBe(31);
  });

  it('count a duration in the bucket whose upper bound it does not exceed, and what is no duration nowhere', async () => {
    await using numbers = await testMeter();
    const { meter, metrics } = numbers;
    const duration = meter.createHistogram('a.duration', { unit: 's' });
    for (const seconds of [0, 0.005, 0.0051, 60, -1, Number.NaN]) duration.record(seconds);
    const samples = parseScrape(await metrics.scrape());
    const upTo = (le: string) => samples.find(({ labels }) => labels.le === le)?.value;
    expect(['0.0005', '0.0025', '0.005', '0.01', '10', '+Inf'].map(upTo)).toEqual([1, 1, 2, 3, 3, 4]);
    expect(samples.find(({ name }) => name === 'a_duration_seconds_sum')?.value).toBeCloseTo(60.0101);
  });

  it('tell how late the event loop is, without the time between two looks', async () => {
    await using numbers = await testMeter();
    const process = meterProcess(numbers.meter);
    const median = () => numbers.sum('nodejs_eventloop_delay_p50_seconds');
    // One that is never late is looked at ten times a second.
    await until('half of the looks are in time', async () => (await median()) < 0.09);
    process.stop();
  });

  it('keep to a bound of series whatever their labels are', async () => {
    await using numbers = await testMeter();
    const { meter, metrics } = numbers;
    const wild = meter.createCounter('wild');
    for (let i = 0; i < 5_000; i++) wild.add(1, { id: String(i) });
    expect(parseScrape(await metrics.scrape()).length).toBeLessThanOrEqual(500);
  });

  it('are sent to a collector over OTLP, the last ones when it stops', async () => {
    await using collector = await startHttpServer((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end();
    });
    const numbers = await testMeter({ JETLEDGER_METRICS__OTLP_ENDPOINT: `${collector.url}/` });
    numbers.meter.createCounter('jetledger.told').add(3, { category: 'order' });
    await numbers[Symbol.asyncDispose]();
    expect(collector.received.map(({ method, path }) => [method, path])).toEqual([['POST', '/v1/metrics']]);
    const body = collector.received[0]?.body ?? '';
    for (const part of ['jetledger.told', 'category', 'order', 'service.name', '1.2.3'])
      expect(body).toContain(part);
  });

  it('stop without an error when the collector is away', async () => {
    const numbers = await testMeter({ JETLEDGER_METRICS__OTLP_ENDPOINT: 'http://127.0.0.1:9' });
    numbers.meter.createCounter('jetledger.lost').add(1);
    await expect(numbers[Symbol.asyncDispose]()).resolves.toBeUndefined();
  });
});

describe('a reading that is expensive', () => {
  it('is made once for all who ask within its age, and only when somebody asks', async () => {
    let now = 0;
    let reads = 0;
    const reading = cachedReading(async () => ++reads, { maxAgeMs: 100, now: () => now });
    expect(reads).toBe(0);
    expect(await Promise.all([reading.get(), reading.get()])).toEqual([1, 1]);
    now = 99;
    expect(await reading.get()).toBe(1);
    now = 100;
    expect(await reading.get()).toBe(2);
  });

  it('answers with the last value while a read is late, and with nothing once that is stale', async () => {
    let now = 0;
    let answer: Promise<number> = Promise.resolve(1);
    const reading = cachedReading(() => answer, { maxAgeMs: 10, waitMs: 5, staleMs: 50, now: () => now });
    expect(await reading.get()).toBe(1);
    answer = new Promise(() => undefined);
    now = 20;
    expect(await reading.get()).toBe(1);
    now = 60;
    expect(await reading.get()).toBeUndefined();
  });

  it('keeps the last value over a read that fails', async () => {
    let now = 0;
    let fail = false;
    const read = async (): Promise<number> => {
      if (fail) throw new Error('away');
      return 1;
    };
    const reading = cachedReading(read, { maxAgeMs: 10, now: () => now });
    await reading.get();
    fail = true;
    now = 20;
    expect(await reading.get()).toBe(1);
  });
});
