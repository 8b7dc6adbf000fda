import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { testProgram } from '../support/service-build.ts';
import type { WorkerOrders } from './worker-process.ts';

/** Worker processes, each replaced when it dies. */
export interface Pool extends AsyncDisposable {
  /** How many killed themselves. */
  readonly deaths: number;
  /** Ends that were not kills, as sentences. */
  readonly problems: readonly string[];
}

const WORKER = new URL('worker-process.ts', import.meta.url);

/** Keeps so many workers at work, and one more ready to step in at once. */
export async function startPool(size: number, orders: WorkerOrders): Promise<Pool> {
  const program = await testProgram(WORKER);
  const waiting: ChildProcess[] = [];
  const working = new Set<ChildProcess>();
  const all = new Set<ChildProcess>();
  const problems: string[] = [];
  let deaths = 0;
  let over = false;

  const fill = (): void => {
    while (!over && working.size < size) {
      const next = waiting.shift();
      if (next === undefined) return;
      working.add(next);
      next.send('begin');
    }
  };
  const spawn = (): void => {
    const child = fork(program, [JSON.stringify(orders)], { execArgv: [] });
    all.add(child);
    child.once('message', () => {
      waiting.push(child);
      fill();
    });
    child.once('exit', (code, signal) => {
      all.delete(child);
      working.delete(child);
      if (over) return;
      if (signal === 'SIGKILL') deaths++;
      else problems.push(`a worker ended with ${code ?? signal}`);
      spawn();
      fill();
    });
  };

  for (let i = 0; i <= size; i++) spawn();
  return {
    get deaths() {
      return deaths;
    },
    problems,
    [Symbol.asyncDispose]: async () => {
      over = true;
      const gone = [...all].map((child) => once(child, 'exit'));
      for (const child of all) child.kill('SIGKILL');
      await Promise.all(gone);
    },
  };
}
