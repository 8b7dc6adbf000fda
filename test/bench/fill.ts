import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as after } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createNatsBuckets } from '../../src/eventstore/nats/nats-buckets.ts';
import { isAfter, type Position } from '../../src/eventstore/position.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { bucketName } from '../../src/projections/engine/aliases.ts';
import { readLowest } from '../../src/projections/engine/checkpoint.ts';
import { defaultProjectionSettings } from '../../src/projections/engine/settings.ts';
import { orders } from '../../src/projections/views/orders.ts';
import type { OrderLog } from './order-log.ts';

/** Enough that two processes get about half of them each. */
export const FILL_GROUPS = 16 as const;

const SCRIPT = fileURLToPath(new URL('./fill-process.ts', import.meta.url));
const HOOKS = fileURLToPath(new URL('./typescript.mjs', import.meta.url));
const LOOK_EVERY_MS = 20;

let fills = 0;

/** Fills `orders` for the first time by processes that share its groups. @returns seconds, and their CPU together */
export async function fillTogether(
  { url, requests }: OrderLog,
  processes: number,
  end: Position,
): Promise<{ readonly seconds: number; readonly cpuMicroseconds: number }> {
  const prefix = `fill${fills++}`;
  const children = Array.from({ length: processes }, () =>
    fork(SCRIPT, [url, prefix], { execArgv: ['--import', HOOKS] }),
  );
  try {
    await Promise.all(children.map((child) => told(child)));
    // By then each looks anew, and sees all the others before it takes any group.
    await after(defaultProjectionSettings.memberMs / 2);
    const started = performance.now();
    for (const child of children) child.send('start');
    const runtime = systemRuntime;
    const buckets = createNatsBuckets({
      requests,
      runtime,
      replicas: 1,
      timeoutMs: 15_000,
      announceLosses: false,
    });
    for (;;) {
      const bucket = await buckets.open(bucketName(prefix, orders.name, 1));
      const lowest = bucket && (await readLowest(bucket, FILL_GROUPS));
      if (lowest !== undefined && !isAfter(end, lowest.position)) break;
      await after(LOOK_EVERY_MS);
    }
    const seconds = (performance.now() - started) / 1_000;
    const spent = await Promise.all(children.map((child) => told(child, 'cpu')));
    return { seconds, cpuMicroseconds: spent.reduce<number>((sum, each) => sum + Number(each), 0) };
  } finally {
    for (const child of children) child.kill();
  }
}

/** What a process says next, in answer or by itself; one that ends first fails the measurement. */
async function told(child: ChildProcess, question?: 'cpu'): Promise<unknown> {
  const ended = once(child, 'exit').then(() => {
    throw new Error('a process that fills the view has ended');
  });
  const answer = once(child, 'message');
  if (question !== undefined) child.send(question);
  const [said] = await Promise.race([answer, ended]);
  ended.catch(() => undefined);
  return said;
}
