import { jetstream } from '@nats-io/jetstream';
import { TEST_LOG } from '../support/nats-log.ts';
import type { OrderLog } from './order-log.ts';

/** Messages asked for ahead; the client's best of 500 to 5,000. */
const AHEAD = 2_000;

/** Reads the log with the client's ordered consumer up to `end`; returns how many messages `handle` got. */
export async function bareReplay(
  { connection }: OrderLog,
  end: number,
  handle: (data: Uint8Array) => void,
): Promise<number> {
  const consumer = await jetstream(connection).consumers.get(TEST_LOG.stream, {
    filter_subjects: `${TEST_LOG.prefix}.>`,
  });
  let read = 0;
  let finish: () => void = () => undefined;
  const finished = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const messages = await consumer.consume({
    max_messages: AHEAD,
    callback: (message) => {
      read++;
      handle(message.data);
      if (message.seq >= end) finish();
    },
  });
  await finished;
  await messages.close();
  return read;
}

/** How many a second; `work` says how many there were. */
export async function ratePerSecond(work: () => Promise<number>): Promise<number> {
  const start = performance.now();
  return Math.round((await work()) / ((performance.now() - start) / 1_000));
}
