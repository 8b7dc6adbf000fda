// The examples of docs/kernel.md, as they are compiled and run.
import { create } from '@bufbuild/protobuf';
import { type Int32Value, Int32ValueSchema } from '@bufbuild/protobuf/wkt';
import { part } from '../../../src/eventstore/commit-all.ts';
import type { Decider, Rejection } from '../../../src/eventstore/decider.ts';
import { createHandler, type Handler } from '../../../src/eventstore/handler.ts';
import { systemRuntime } from '../../../src/eventstore/runtime.ts';
import { createMemoryLog } from '../../../src/testing/memory-log.ts';

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
  return handler;
}
