import { connect } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Bucket, Row, RowWrite } from '../../src/eventstore/bucket.ts';
import { LogUnavailable } from '../../src/eventstore/errors.ts';
import { createNatsBuckets } from '../../src/eventstore/nats/nats-buckets.ts';
import { createRequests } from '../../src/eventstore/nats/requests.ts';
import { positionOf } from '../../src/eventstore/position.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import type { Buckets } from '../../src/projections/engine/aliases.ts';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';

let server: TestServer;
let one: Party;
let two: Party;

interface Party extends AsyncDisposable {
  readonly buckets: Buckets;
}

beforeAll(async () => {
  server = await startTestServer();
  [one, two] = await Promise.all([openParty(), openParty()]);
});
afterAll(async () => {
  await one[Symbol.asyncDispose]();
  await two[Symbol.asyncDispose]();
  await server.stop();
});

/** The buckets on a connection of its own, as another process has them. */
async function openParty(): Promise<Party> {
  const wait = { maxReconnectAttempts: -1, reconnectTimeWait: 50 };
  const connection = await connect({ servers: server.url, noAsyncTraces: true, ...wait });
  const requests = createRequests(connection);
  const runtime = systemRuntime;
  const limits = { replicas: 1, timeoutMs: 2_000, announceLosses: false };
  return {
    buckets: createNatsBuckets({ requests, runtime, ...limits }),
    [Symbol.asyncDispose]: async () => {
      requests.close();
      await connection.close();
    },
  };
}

const write = (key: string, value: string, expectedRevision = 0, position = 1): RowWrite => ({
  key,
  value: Buffer.from(value),
  expectedRevision,
  position: positionOf(position),
});
const text = (row: Row | undefined): string => Buffer.from(row?.value ?? []).toString();

async function rowsOf(bucket: Bucket): Promise<Record<string, string>> {
  const rows: Record<string, string> = {};
  for await (const row of bucket.rows()) rows[row.key] = text(row);
  return rows;
}

describe('buckets made and dropped by two processes at once', () => {
  it('a bucket that both make is one bucket, and making it again keeps its rows', async () => {
    for (let round = 0; round < 10; round++) {
      const name = `made_${round}`;
      const made = await Promise.all(
        [one, two].map(({ buckets }) => buckets.create(name, { durable: true })),
      );
      await Promise.all(made.map((bucket, n) => bucket.write(write(`row-${n}`, `${n}`))));
      const again = await one.buckets.create(name, { durable: true });
      expect(await rowsOf(again)).toEqual({ 'row-0': '0', 'row-1': '1' });
    }
    expect([...(await two.buckets.list('made_'))].sort()).toHaveLength(10);
  });

  it('dropping is repeatable, and a dropped bucket is neither listed nor opened', async () => {
    const names = Array.from({ length: 10 }, (_, n) => `dropped_${n}`);
    await Promise.all(names.map((name) => one.buckets.create(name, { durable: false })));
    await Promise.all(names.flatMap((name) => [one.buckets.drop(name), two.buckets.drop(name)]));
    await one.buckets.drop('dropped_0');
    expect(await two.buckets.list('dropped_')).toEqual([]);
    expect(await one.buckets.open('dropped_0')).toBeUndefined();
  });

  it('a listing while others make and drop never fails and holds every bucket that stays', async () => {
    await one.buckets.create('listed_stays', { durable: true });
    let busy = true;
    const churn = async (): Promise<void> => {
      for (let n = 0; n < 15; n++) {
        await one.buckets.create(`listed_${n}`, { durable: false });
        await one.buckets.drop(`listed_${n}`);
      }
      busy = false;
    };
    const look = async (): Promise<void> => {
      while (busy) expect(await two.buckets.list('listed_')).toContain('listed_stays');
    };
    await Promise.all([churn(), look()]);
    expect(await two.buckets.list('listed_')).toEqual(['listed_stays']);
  });

  it('a name that only begins like another one is another bucket', async () => {
    const long = await one.buckets.create('same_long', { durable: true });
    const short = await one.buckets.create('same', { durable: true });
    await long.write(write('a', 'long'));
    await short.write(write('a', 'short'));
    await one.buckets.drop('same');
    expect(await rowsOf(long)).toEqual({ a: 'long' });
    expect(await one.buckets.list('same')).toEqual(['same_long']);
  });
});

describe('batches of a durable bucket', () => {
  it('exist there, and not in a fast one', async () => {
    expect((await one.buckets.create('batch_durable', { durable: true })).writeAll).toBeDefined();
    expect((await one.buckets.create('batch_fast', { durable: false })).writeAll).toBeUndefined();
    // Whoever opens it finds the same.
    expect((await two.buckets.open('batch_durable'))?.writeAll).toBeDefined();
    expect((await two.buckets.open('batch_fast'))?.writeAll).toBeUndefined();
  });

  it('of two that meet on one row, one is written whole and the other not at all', async () => {
    for (let round = 0; round < 5; round++) {
      const name = `met_${round}`;
      const parties = await Promise.all(
        [one, two].map(({ buckets }) => buckets.create(name, { durable: true })),
      );
      const written = await Promise.all(
        parties.map(async (bucket, n) => {
          const own = Array.from({ length: 100 }, (_, i) => write(`own-${n}-${i}`, `${n}`));
          const result = await bucket.writeAll?.([...own, write('shared', `${n}`)]);
          return result?.written;
        }),
      );
      expect(written.filter((won) => won === true)).toHaveLength(1);
      const rows = await rowsOf(await one.buckets.create(name, { durable: true }));
      expect(Object.keys(rows)).toHaveLength(101);
      expect(new Set(Object.values(rows))).toEqual(new Set([String(written.indexOf(true))]));
    }
  });

  it('survive a killed server once they are acknowledged', async () => {
    const bucket = await one.buckets.create('batch_killed', { durable: true });
    const rows = Array.from({ length: 1_000 }, (_, n) => write(`row-${n}`, `${n}`));
    expect((await bucket.writeAll?.(rows))?.written).toBe(true);
    await server.kill9();
    await server.restart();
    for (const party of [one, two]) {
      await until('it answers again', async () => (await party.buckets.open('batch_killed')) !== undefined);
    }
    expect(Object.keys(await rowsOf(bucket))).toHaveLength(1_000);
  });
});

describe('while the server is away', () => {
  it('buckets say so at once, and work again afterwards', async () => {
    const bucket = await one.buckets.create('away', { durable: true });
    await server.kill9();
    await until('the loss is noticed', () =>
      bucket.get('a').then(
        () => false,
        () => true,
      ),
    );
    const { buckets } = one;
    const calls = [
      () => buckets.open('away'),
      () => buckets.create('away_too', { durable: true }),
      () => buckets.drop('away'),
      () => buckets.list('away'),
      () => bucket.write(write('a', 'x')),
    ];
    for (const call of calls) await expect(call()).rejects.toThrow(LogUnavailable);
    await server.restart();
    for (const party of [one, two]) {
      await until('they answer again', async () => (await party.buckets.list('away')).length === 1);
    }
    expect(await bucket.write(write('a', 'x'))).toMatchObject({ written: true });
  });

  it('it may lose writes and get others, so that what is there has another stamp, even where it is the same', async () => {
    const bucket = await one.buckets.create('stamped', { durable: true });
    await bucket.write(write('a', 'x'));
    const before = await bucket.stamp();
    expect(await bucket.stamp()).toBe(before);
    await server.kill9();
    await server.restart();
    for (const party of [one, two]) {
      await until('they answer again', async () => (await party.buckets.list('stamped')).length === 1);
    }
    expect(await bucket.stamp()).not.toBe(before);
  });
});

describe('a watch', () => {
  it('goes on over a killed server and ends with the last value of every row', async () => {
    const bucket = await one.buckets.create('watched', { durable: true });
    await bucket.write(write('k-0', 'first'));
    const seen = new Map<string, string>();
    const revisions: number[] = [];
    let caughtUp = 0;
    const controller = new AbortController();
    const watched = await two.buckets.open('watched');
    const watching = (async () => {
      const options = { signal: controller.signal, caughtUp: () => void caughtUp++ };
      for await (const row of watched?.watch(options) ?? []) {
        seen.set(row.key, text(row));
        revisions.push(row.revision);
      }
    })();
    await until('the rows of the start are through', () => caughtUp === 1 && seen.get('k-0') === 'first');
    const last = new Map<string, string>([['k-0', 'first']]);
    const change = async (key: string, value: string): Promise<void> => {
      const known = await bucket.get(key, { leader: true });
      await bucket.write(write(key, value, known?.revision ?? 0));
      last.set(key, value);
    };
    for (let n = 0; n < 40; n++) await change(`k-${n % 8}`, `before-${n}`);
    await server.kill9();
    await server.restart();
    await until('writes go through again', async () => {
      await change('k-1', 'again');
      return true;
    });
    for (let n = 0; n < 40; n++) await change(`k-${n % 5}`, `after-${n}`);
    await until('the watch has seen the last values', () => {
      return [...last].every(([key, value]) => seen.get(key) === value);
    });
    controller.abort();
    await watching;
    expect(caughtUp).toBe(1);
    expect(revisions).toEqual([...new Set(revisions)].sort((a, b) => a - b));
  });
});
