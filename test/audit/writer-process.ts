import { setTimeout as delay } from 'node:timers/promises';
import { createHandler } from '../../src/eventstore/handler.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { createPrng } from '../../src/testing/world.ts';
import type { AccountCommand } from './account.ts';
import { readHistory, recordTo } from './history.ts';
import { type AuditLog, type AuditLogOptions, openAuditLog } from './open-log.ts';
import { runReader } from './reader.ts';
import { type Load, runWriter } from './writer.ts';

/** What the parent tells a writer, as JSON in its first argument. */
export interface WriterProcessOptions extends AuditLogOptions {
  readonly name: string;
  readonly seed: number;
  readonly load: Load;
  readonly cacheEntries: number;
  /** File for its calls. */
  readonly history: string;
  /** File of the killed writer whose open calls are repeated. */
  readonly predecessor?: string | undefined;
}

const stopping = new AbortController();
// The parent asks for the end with a message; without a parent there is nobody to write for.
process.on('message', () => stopping.abort());
process.on('disconnect', () => process.exit(1));

const options = JSON.parse(process.argv[2] ?? '') as WriterProcessOptions;
const opened = await openWhenThere(options);
process.send?.('ready');
const unfinished =
  options.predecessor === undefined ? [] : readHistory<AccountCommand>(options.predecessor).operations;
const { name, load, cacheEntries } = options;
const { log } = opened;
const handler = createHandler({
  log,
  runtime: systemRuntime,
  settings: { cacheEntries },
  snapshots: {
    store: opened.snapshots,
    settings: { verifyShare: 0.2 },
    onWrong: (wrong) => process.send?.({ wrongSnapshot: JSON.stringify(wrong) }),
  },
});
// Knows what it has read and nothing else. It asks of what others change, so that nothing cold holds it up.
const onlooker = { handler: createHandler({ log, runtime: systemRuntime }), load: { ...load, cold: 0 } };
const record = recordTo<AccountCommand>(options.history);
const random = createPrng(options.seed);
const common = { log, record, name, random, load, signal: stopping.signal };
await Promise.all([
  runWriter({ ...common, handler, unfinished: unfinished.filter((op) => op.outcome === undefined) }),
  ...Array.from({ length: load.readers }, () => runReader({ ...common, handler })),
  ...Array.from({ length: load.readers }, () => runReader({ ...common, ...onlooker })),
]);
// Whatever still hangs on a connection that a fault has damaged is of no interest any more.
process.exit(0);

/** A writer may be started in the middle of a fault. */
async function openWhenThere(from: AuditLogOptions): Promise<AuditLog> {
  for (;;) {
    try {
      return await openAuditLog(from);
    } catch {
      // Asked to end before there was anybody to write to.
      if (stopping.signal.aborted) process.exit(0);
      await delay(100);
    }
  }
}
