import { setTimeout as delay } from 'node:timers/promises';
import type { CommandHandler } from '../../src/eventstore/command.ts';
import type { Log } from '../../src/eventstore/log.ts';
import { numberOf } from '../../src/eventstore/position.ts';
import { type AccountCommand, account } from './account.ts';
import { clockMicros, type Recorder } from './history.ts';
import { codeOf, type Load, randomAggregate } from './writer.ts';

export interface ReaderOptions {
  readonly handler: CommandHandler;
  readonly log: Log;
  readonly record: Recorder<AccountCommand>;
  readonly name: string;
  /** In [0, 1). */
  readonly random: () => number;
  readonly load: Load;
  readonly signal: AbortSignal;
}

/** Asks, confirmed, what is there and up to where the log is, until it is told to stop. Every answer is recorded. */
export async function runReader(options: ReaderOptions): Promise<void> {
  const { handler, log, record, name, random, load, signal } = options;
  while (!signal.aborted) {
    const aggregate = randomAggregate(random, load);
    const ofHead = random() < 0.2;
    const invokedAt = clockMicros();
    const ended = () => ({ reader: name, invokedAt, completedAt: clockMicros() });
    try {
      if (ofHead) {
        const version = numberOf(await log.confirm());
        record.read({ read: 'head', ...ended(), version });
      } else {
        const { version, state } = await handler.load(account, aggregate);
        record.read({ read: 'state', ...ended(), aggregate, version, state });
      }
    } catch (error) {
      record.read({ read: 'failed', ...ended(), code: codeOf(error) });
    }
    await delay(random() * load.pauseMs);
  }
}
