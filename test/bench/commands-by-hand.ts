import { createHandler, type Handler } from '../../src/eventstore/handler.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { startTestServer } from '../../src/testing/nats-server.ts';
import { createLogStream } from '../support/nats-log.ts';
import { costNote, metered } from './cpu.ts';
import { openHandWritten } from './hand-written.ts';
import { interleaved, perSecond, ratioOf, rounded, secondsOf } from './measure.ts';
import { type Peer, startPeer } from './peers/peer.ts';
import { executeOn, fillInTurns, openProduct, PATIENT } from './product.ts';
import type { BenchOptions, ResultRow, Scenario } from './result.ts';

type Execute = (id: string) => Promise<unknown>;

/** What is measured beside what: an aggregate's name and a command on it. */
interface Pair {
  readonly name: string;
  readonly ids: readonly string[];
  readonly own: Execute;
  readonly other: Execute;
  /** Aggregates of the other side, where both must not meet. */
  readonly otherIds?: readonly string[];
  /** Of the other side's server, where it is not the same. */
  readonly otherServer?: number;
}

/** Spread over the log as in one that is some time old: between two commits of an aggregate lies one of every other. */
const [SHORT, LONG] = [
  { aggregates: 3_000, events: 10 },
  { aggregates: 40, events: 1_000 },
] as const;
const IN_FLIGHT = [1, 16] as const;

/** What idempotency, queues and second tries cost, and what a category pays whose snapshots are void. */
export const byHandScenario = (peers: boolean): Scenario => ({
  name: 'by-hand',
  title: 'Commands beside the same written by hand on the bare client, default sync',
  run: async (options) => {
    await using peer = peers ? await startPeer(false) : undefined;
    await using server = await startTestServer();
    await createLogStream(server.url);
    await using product = await openProduct(server.url, false);
    await using byHand = await openHandWritten(server.url);
    const [short, long] = [namesOf('short', SHORT.aggregates), namesOf('long', LONG.aggregates)];
    const [used, usedByHand] = [namesOf('used', SHORT.aggregates), namesOf('hand', SHORT.aggregates)];
    for (const ids of [short, used, usedByHand]) await fillInTurns(product, ids, SHORT.events);
    await fillInTurns(product, long, LONG.events);
    if (peer !== undefined) await fillPeer(peer, short, long);
    const warm = product.handler();
    const settings = { cacheEntries: 0, deadlineMs: PATIENT.deadlineMs };
    const cold = createHandler({ log: product.log, runtime: systemRuntime, settings });
    for (const id of used) await executeOn(warm, id);
    for (const id of usedByHand) await byHand.warm(id);
    const on = (handler: Handler): Execute => {
      return (id) => executeOn(handler, id);
    };
    const theirs = (name: string, ids: readonly string[], execute: Execute): Pair[] => [
      { name: `${name} / one batched get by hand`, ids, own: execute, other: byHand.cold },
      ...(peer
        ? [{ name: `${name} / emmett`, ids, own: execute, other: executeAt(peer), otherServer: peer.pid }]
        : []),
    ];
    const pairs: Pair[] = [
      {
        name: 'warm command, 10 events / a hand-written cache',
        ids: used,
        own: on(warm),
        other: byHand.warm,
        otherIds: usedByHand,
      },
      ...theirs('cold command without a snapshot, 10 events', short, on(cold)),
      ...theirs('cold command without a snapshot, 1,000 events', long, on(cold)),
    ];
    const rows: ResultRow[] = [];
    for (const pair of pairs)
      for (const callers of IN_FLIGHT) rows.push(await measure(pair, callers, server.pid(), options));
    return rows;
  },
});

const namesOf = (kind: string, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `${kind}-${i}`);

async function fillPeer(peer: Peer, short: readonly string[], long: readonly string[]): Promise<void> {
  for (const id of short) await peer.fill(id, SHORT.events);
  for (const id of long) await peer.fill(id, LONG.events);
}

const executeAt =
  (peer: Peer): Execute =>
  (id) =>
    peer.execute(id, 1);

async function measure(
  { name, ids, own, other, otherIds = ids, otherServer }: Pair,
  callers: number,
  server: number,
  { rounds, scale, print }: BenchOptions,
): Promise<ResultRow> {
  const row = `${name}, ${callers} in flight`;
  print(row);
  const seconds = secondsOf(scale);
  const side = (execute: Execute, on: readonly string[], pid: number) => {
    let next = 0;
    return metered([pid], seconds, () =>
      perSecond(callers, seconds, async () => {
        await execute(on[next++ % on.length] ?? '');
        return true;
      }),
    );
  };
  const sides = { product: side(own, ids, server), baseline: side(other, otherIds, otherServer ?? server) };
  const { product, baseline } = await interleaved(rounds, {
    product: sides.product.run,
    baseline: sides.baseline.run,
  });
  return {
    name: row,
    ratio: ratioOf(product, baseline),
    product: rounded(product),
    baseline: rounded(baseline),
    unit: 'commands/s',
    note: costNote(sides.product, sides.baseline),
  };
}
