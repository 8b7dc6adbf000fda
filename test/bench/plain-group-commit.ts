import { connect, headers } from '@nats-io/transport-node';
import { encodeCommit } from '../../src/eventstore/codec/stored-commit.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { subjectOf } from '../../src/eventstore/stream.ts';
import { TEST_LOG } from '../support/nats-log.ts';
import type { Aggregate } from './sides.ts';
import { tallyCommit, tallyRef } from './tally.ts';

/** The most commits of one batch. */
const MOST = 100;

interface Waiting {
  readonly aggregate: Aggregate;
  readonly answer: (stored: boolean) => void;
}

/** Group commit as one would write it by hand: everything that waits goes into the next batch, one batch at a time. */
export interface PlainGroupCommit extends AsyncDisposable {
  append(aggregate: Aggregate): Promise<boolean>;
}

export async function openPlainGroupCommit(url: string): Promise<PlainGroupCommit> {
  const connection = await connect({ servers: url.split(','), noAsyncTraces: true });
  const bytes = encodeCommit(tallyCommit(systemRuntime.id()));
  const queue: Waiting[] = [];
  let running = false;
  const send = async (batch: readonly Waiting[]): Promise<void> => {
    const id = systemRuntime.id();
    for (const [index, { aggregate }] of batch.entries()) {
      const subject = subjectOf(TEST_LOG.prefix, tallyRef(aggregate.id));
      const hdrs = headers();
      hdrs.set('Nats-Expected-Last-Subject-Sequence', String(aggregate.version));
      hdrs.set('Nats-Batch-Id', id);
      hdrs.set('Nats-Batch-Sequence', String(index + 1));
      if (index < batch.length - 1) {
        connection.publish(subject, bytes, { headers: hdrs });
        continue;
      }
      hdrs.set('Nats-Batch-Commit', '1');
      const reply = await connection.request(subject, bytes, { headers: hdrs, timeout: 10_000 });
      const ack = reply.json<{ seq?: number }>();
      for (const [place, { aggregate: stored, answer }] of batch.entries()) {
        if (ack.seq !== undefined) stored.version = ack.seq - batch.length + 1 + place;
        answer(ack.seq !== undefined);
      }
    }
  };
  const run = async (): Promise<void> => {
    running = true;
    while (queue.length > 0) {
      await new Promise((resolve) => setImmediate(resolve));
      await send(queue.splice(0, MOST));
    }
    running = false;
  };
  return {
    append: (aggregate) =>
      new Promise((answer) => {
        queue.push({ aggregate, answer });
        if (!running) void run();
      }),
    [Symbol.asyncDispose]: () => connection.close(),
  };
}
