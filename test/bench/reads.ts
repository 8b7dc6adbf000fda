import { setTimeout as delay } from 'node:timers/promises';
import { createHandler, type Handler } from '../../src/eventstore/handler.ts';
import { createGets } from '../../src/eventstore/nats/gets.ts';
import { managerOf, type Requests } from '../../src/eventstore/nats/requests.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { subjectOf } from '../../src/eventstore/stream.ts';
import { counter, counterRef } from '../../src/testing/contracts/toy.ts';
import { startTestCluster } from '../../src/testing/nats-cluster.ts';
import { createLogStream, openTestLog, TEST_LOG } from '../support/nats-log.ts';
import { interleaved, perSecond, ratioOf, rounded, secondsOf } from './measure.ts';
import type { ResultRow, Scenario } from './result.ts';
import { appendThrough, freshAggregates } from './sides.ts';

const CALLERS = [1, 16, 64] as const;
const AGGREGATES = 64;
/** Strong reads a second of which it is told what they add to the log. */
const PACE = 1_000;
const DAY_S = 86_400;
const GB = 1e9;

/** Reads that a majority confirms (protocol 19), on three servers that sync every write. */
export const readsScenario: Scenario = {
  name: 'reads',
  title: 'Confirmed reads on three servers with `sync_interval: always`',
  run: async (options) => {
    await using cluster = await startTestCluster({ syncAlways: true });
    const url = cluster.urls.join(',');
    await createLogStream(url, undefined, 3);
    await using handle = await openTestLog(url, TEST_LOG, {
      attemptTimeoutMs: 2_000,
      deadlineMs: 5_000,
      confirm: 'quorum',
    });
    const { log, requests } = handle;
    const handler = createHandler({ log, runtime: systemRuntime });
    const ids = Array.from({ length: AGGREGATES }, (_, i) => `read-${i}`);
    for (const id of ids) {
      const meta = { commandId: id, actor: 'bench' };
      await handler.execute(counter, id, { kind: 'add', by: 1 }, meta);
    }
    const seconds = secondsOf(options.scale);
    const rows: ResultRow[] = [];
    for (const callers of CALLERS) {
      options.print(`strong reads, ${callers} in flight`);
      const idOf = (caller: number): string => ids[caller % AGGREGATES] ?? '';
      const measured = await interleaved(options.rounds, {
        product: () => perSecond(callers, seconds, async (caller) => load(handler, idOf(caller))),
        pair: () => appendsAndGets(requests, appendThrough(log), callers, seconds),
      });
      rows.push({
        name: `strong read / one append and one direct get, ${callers} in flight`,
        ratio: ratioOf(measured.product, measured.pair),
        product: rounded(measured.product),
        baseline: rounded(measured.pair),
        unit: 'reads/s',
      });
    }
    return [...rows, await growthOf(handler, requests, ids, seconds)];
  },
};

async function load(handler: Handler, id: string): Promise<boolean> {
  await handler.load(counter, id);
  return true;
}

function appendsAndGets(
  requests: Requests,
  append: ReturnType<typeof appendThrough>,
  callers: number,
  seconds: number,
): Promise<number> {
  const gets = createGets(requests, TEST_LOG.stream, 2_000);
  const aggregates = freshAggregates(callers);
  return perSecond(callers, seconds, async (caller) => {
    const aggregate = aggregates[caller];
    if (aggregate === undefined) throw new RangeError('no such caller');
    await append(aggregate);
    await gets.direct({ last_by_subj: subjectOf(TEST_LOG.prefix, counterRef(aggregate.id)) });
    return true;
  });
}

/** What reads at a pace add to the log. */
async function growthOf(
  handler: Handler,
  requests: Requests,
  ids: readonly string[],
  seconds: number,
): Promise<ResultRow> {
  const jsm = await managerOf(requests);
  const sizeOf = async () => (await jsm.streams.info(TEST_LOG.stream)).state;
  const before = await sizeOf();
  const started = performance.now();
  const reads: Promise<boolean>[] = [];
  for (let at = 0; performance.now() - started < seconds * 1_000; ) {
    const due = ((performance.now() - started) * PACE) / 1_000;
    for (; at < due; at++) reads.push(load(handler, ids[at % AGGREGATES] ?? ''));
    await delay(1);
  }
  await Promise.all(reads);
  const took = (performance.now() - started) / 1_000;
  const after = await sizeOf();
  const fences = (after.messages - before.messages) / took;
  const bytes = (after.bytes - before.bytes) / took;
  const perDay = (bytes * DAY_S) / GB;
  return {
    name: `the log grows with ${PACE} strong reads/s`,
    product: rounded([perDay]),
    unit: 'GB/day',
    note: `${Math.round(fences)} fences/s of ${Math.round(bytes / Math.max(1, fences))} bytes at ${Math.round(reads.length / took)} reads/s`,
  };
}
