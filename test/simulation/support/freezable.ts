import type { Bucket } from '../../../src/eventstore/bucket.ts';
import type { Log } from '../../../src/eventstore/log.ts';
import type { World } from '../../../src/eventstore/memory/scheduler.ts';
import type { Runtime } from '../../../src/eventstore/runtime.ts';

/** What an instance works with, in a process that can hang: while it does, nothing comes back to it. */
export interface Freezable {
  readonly runtime: Runtime;
  log(log: Log): Log;
  bucket(bucket: Bucket): Bucket;
  /** Hangs for so many milliseconds from now on. */
  hang(ms: number): void;
}

export function freezable(world: World, plain: Runtime): Freezable {
  let until = 0;
  const thaw = async (): Promise<void> => {
    while (world.now() < until) await plain.sleep(until - world.now());
  };
  const slow =
    <A extends unknown[], R>(call: (...given: A) => Promise<R>) =>
    async (...given: A): Promise<R> => {
      await thaw();
      try {
        return await call(...given);
      } finally {
        await thaw();
      }
    };
  async function* slowly<T>(items: AsyncIterable<T>): AsyncGenerator<T> {
    for await (const item of items) {
      await thaw();
      yield item;
    }
  }
  return {
    hang: (ms) => {
      until = world.now() + ms;
    },
    runtime: { ...plain, sleep: slow(plain.sleep) },
    log: (log) => ({
      ...log,
      append: slow(log.append),
      read: slow(log.read),
      at: slow(log.at),
      head: slow(log.head),
      scan: (options) => slowly(log.scan(options)),
    }),
    bucket: (bucket) => ({
      ...bucket,
      get: slow(bucket.get),
      write: slow(bucket.write),
      writeAll: bucket.writeAll && slow(bucket.writeAll),
      rows: (options) => slowly(bucket.rows(options)),
      watch: (options) => slowly(bucket.watch(options)),
    }),
  };
}
