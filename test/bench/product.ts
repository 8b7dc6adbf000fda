import { jetstreamManager } from '@nats-io/jetstream';
import { createHandler, type Handler, type HandlerSettings } from '../../src/eventstore/handler.ts';
import type { Log } from '../../src/eventstore/log.ts';
import { createNatsSnapshotStore } from '../../src/eventstore/nats/nats-bucket.ts';
import { ensureBucket } from '../../src/eventstore/nats/nats-buckets.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { type LogHandle, openTestLog, TEST_LOG } from '../support/nats-log.ts';
import { appendThrough } from './sides.ts';
import { tally } from './tally.ts';

/** The product's command path on a server, as the service has it: log, snapshots, handlers. */
export interface Product extends AsyncDisposable {
  readonly log: Log;
  /** A handler with a cache of its own; snapshots are shared. */
  handler(settings?: Partial<HandlerSettings>): Handler;
}

/** A busy machine shall make a measurement slow and not fail it. */
export const PATIENT = { attemptTimeoutMs: 15_000, deadlineMs: 60_000 };
const BUCKET = 'bench_snapshots';

/** As the service opens its log: where nothing is synced, on one server, commits are not packed. */
export function boundsOf(syncAlways: boolean) {
  return { ...PATIENT, groupCommit: syncAlways ? 'auto' : 'off' } as const;
}

/** Opens the log and its snapshots; `createLogStream` comes first. */
export async function openProduct(url: string, syncAlways: boolean): Promise<Product> {
  const handle: LogHandle = await openTestLog(url, TEST_LOG, boundsOf(syncAlways));
  const { log, requests, connection } = handle;
  const kind = { replicas: 1, storage: 'file', persist: 'async' } as const;
  await ensureBucket(await jetstreamManager(connection), BUCKET, kind);
  const store = createNatsSnapshotStore({ requests, bucket: BUCKET, timeoutMs: 1_000 });
  const onWrong = (): never => {
    throw new Error('a snapshot is not the fold of the log');
  };
  const handlers: Handler[] = [];
  return {
    log,
    handler: (settings = {}) => {
      const patient = { deadlineMs: PATIENT.deadlineMs, ...settings };
      const made = createHandler({
        log,
        runtime: systemRuntime,
        settings: patient,
        snapshots: { store, onWrong },
      });
      handlers.push(made);
      return made;
    },
    [Symbol.asyncDispose]: async () => {
      for (const made of handlers) await made.close();
      await handle.close();
    },
  };
}

/** One command that must be accepted. */
export async function executeOn(handler: Pick<Handler, 'execute'>, id: string, events = 1): Promise<boolean> {
  const meta = { commandId: systemRuntime.id(), actor: 'bench' };
  const result = await handler.execute(tally, id, { events }, meta);
  if (result.outcome !== 'accepted') throw new Error(`a command was answered ${result.outcome}`);
  return true;
}

const FILLERS = 128;

/** Aggregates with so many commits of one event each, and a snapshot of each. */
export async function fill(product: Product, ids: readonly string[], commits: number): Promise<void> {
  const handler = product.handler({ cacheEntries: ids.length });
  let next = 0;
  const work = async (): Promise<void> => {
    for (let id = ids[next++]; id !== undefined; id = ids[next++]) {
      for (let n = 0; n < commits; n++) await executeOn(handler, id);
    }
  };
  await Promise.all(Array.from({ length: FILLERS }, work));
  // Writes the snapshots that wait.
  await handler.close();
}

/** Aggregates with so many commits each, and between two of one aggregate a commit of every other; without snapshots. */
export async function fillInTurns({ log }: Product, ids: readonly string[], commits: number): Promise<void> {
  const aggregates = ids.map((id) => ({ id, version: 0 }));
  const append = appendThrough(log);
  for (let n = 0; n < commits; n++) {
    for (let from = 0; from < ids.length; from += FILLERS)
      await Promise.all(aggregates.slice(from, from + FILLERS).map(append));
  }
}
