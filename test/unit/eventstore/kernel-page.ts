// The examples of docs/kernel.md, as they are compiled and run.
import { create } from '@bufbuild/protobuf';
import { type Int32Value, Int32ValueSchema } from '@bufbuild/protobuf/wkt';
import { appendEvents } from '../../../src/eventstore/append-events.ts';
import { guard, part } from '../../../src/eventstore/commit-all.ts';
import type { Decider, Rejection } from '../../../src/eventstore/decider.ts';
import { createHandler, type Handler } from '../../../src/eventstore/handler.ts';
import { listStreams } from '../../../src/eventstore/reading/list-streams.ts';
import { readEvents } from '../../../src/eventstore/reading/read-stream.ts';
import { subscribe } from '../../../src/eventstore/reading/subscribe.ts';
import { systemRuntime } from '../../../src/eventstore/runtime.ts';
import { given } from '../../../src/testing/given.ts';
import { createMemoryBucketStore, openMemoryBucket } from '../../../src/testing/memory-bucket.ts';
import { createMemoryLog } from '../../../src/testing/memory-log.ts';
import { deciderProperties } from '../../../src/testing/properties.ts';
import { inTestLedger } from '../../../src/testing/test-ledger.ts';

type TankCommand = { readonly fill: number } | { readonly drain: number };

export const tank: Decider<number, TankCommand, Int32Value, Rejection> = {
  category: 'tank',
  events: [Int32ValueSchema],
  initial: 0,
  evolve: (litres, event) => litres + event.value,
  decide: (command, litres) => {
    const by = 'fill' in command ? command.fill : -command.drain;
    if (litres + by < 0) return { code: 'tank/too-empty', message: 'There is not that much in it.' };
    return by === 0 ? [] : [create(Int32ValueSchema, { value: by })];
  },
};

/** Runs the page from top to bottom. */
export async function page(): Promise<Handler> {
  const log = createMemoryLog(); // in production: openNatsLog
  const handler = createHandler({ log, runtime: systemRuntime });
  const result = await handler.execute(tank, 't1', { fill: 5 }, { commandId: 'c1', actor: 'page' });
  console.log(result.outcome, result.outcome === 'accepted' && result.state); // accepted 5

  await handler.commitAll([part(tank, 't1', { drain: 2 }), part(tank, 't2', { fill: 2 })], {
    commandId: 'move-1',
    actor: 'page',
  });
  const isFull = (litres: number) => (litres < 4 ? undefined : { code: 'tank/full', message: 'It is full.' });
  const guarded = [part(tank, 't1', { drain: 1 }), guard(tank, 't2', isFull)];
  await handler.commitAll(guarded, { commandId: 'drain-1', actor: 'page' });

  const fills = [1, 2, 3].map((value) => create(Int32ValueSchema, { value }));
  await appendEvents(handler, tank, 't3', fills, {
    commandId: 'import',
    actor: 'page',
    metadata: { file: 'a.csv' },
  });

  for await (const e of readEvents<Int32Value>(log, tank, 't3', { direction: 'backwards', limit: 1 })) {
    console.log(e.event.value, e.index, e.metadata.file); // 3 2 a.csv
  }
  for await (const { id } of listStreams(log, 'tank', { limit: 2 })) console.log(id); // t1, t2

  const stop = new AbortController();
  const fromHere = {
    sources: [tank],
    types: ['Int32Value'],
    from: 'beginning',
    signal: stop.signal,
  } as const;
  const progress = { bucket: openMemoryBucket(createMemoryBucketStore('places')), name: 'sums' };
  let sum = 0;
  const seen = subscribe<Int32Value>(log, { ...fromHere, progress, caughtUp: () => stop.abort() });
  for await (const { event } of seen) sum += event.value;
  console.log(sum); // 10

  given(tank, ...fills)
    .when({ drain: 7 })
    .thenRejected('tank/too-empty');
  for (const { check } of deciderProperties(tank)) check();
  const lossy = { seed: 7, faults: { lostAck: 0.3, partition: 0.1 } };
  await inTestLedger(lossy, async (ledger) => {
    await ledger.handler.execute(tank, 't1', { fill: 5 }, { commandId: 'c1', actor: 'page' });
    ledger.world.calm();
    console.log((await ledger.handler.load(tank, 't1')).state); // 5
  });
  return handler;
}
