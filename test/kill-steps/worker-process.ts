// Started as a process of its own: an order worker that kills itself at each of the given points, unless another one did.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { CrashPoint } from './calls.ts';
import { pointIdOf } from './turns.ts';
import { openOrderWorker } from './worker.ts';

/** What a worker is told. A point is used up when the folder has an entry of its index. */
export interface WorkerOrders {
  readonly url: string;
  readonly folder: string;
  readonly points: readonly CrashPoint[];
}

const { url, folder, points } = JSON.parse(process.argv[2] ?? '') as WorkerOrders;
const keyOf = ({ orderId, call, moment }: CrashPoint): string => `${pointIdOf(orderId)} ${moment} ${call}`;
const armed = new Map(points.map((point, index) => [keyOf(point), index]));

function isMine(index: number): boolean {
  try {
    mkdirSync(join(folder, String(index)));
    return true;
  } catch {
    return false;
  }
}

const worker = await openOrderWorker(url, (point) => {
  const index = armed.get(keyOf(point));
  if (index === undefined || !isMine(index)) return;
  process.kill(process.pid, 'SIGKILL');
  return new Promise(() => undefined);
});
process.once('message', worker.begin);
process.once('disconnect', () => process.kill(process.pid, 'SIGKILL'));
process.send?.('ready');
