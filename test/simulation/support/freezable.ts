import type { Bucket } from '../../../src/eventstore/bucket.ts';
import { LogUnavailable } from '../../../src/eventstore/errors.ts';
import type { Log } from '../../../src/eventstore/log.ts';
import type { Runtime } from '../../../src/eventstore/runtime.ts';
import type { World } from '../../../src/testing/world.ts';

/** What an instance works with, in a process that can hang (nothing comes back to it) or be cut off (calls fail). */
export interface Freezable {
  readonly runtime: Runtime;
  log(log: Log): Log;
  bucket(bucket: Bucket): Bucket;
  /** Hangs for so many milliseconds from now on. */
  hang(ms: number): void;
  /** Reaches neither log nor buckets for so many milliseconds from now on. */
  cutOff(ms: number): void;
}

export function freezable(world: World, plain: Runtime): Freezable {
  let until = 0;
  let awayUntil = 0;
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
  const reach = (): void => {
    if (world.now() < awayUntil) throw new LogUnavailable('cut off');
  };
  const remote = <A extends unknown[], R>(call: (...given: A) => Promise<R>) =>
    slow(async (...given: A): Promise<R> => {
      reach();
      return call(...given);
    });
  async function* slowly<T>(items: AsyncIterable<T>): AsyncGenerator<T> {
    reach();
    for await (const item of items) {
      await thaw();
      reach();
      yield item;
    }
  }
  return {
    hang: (ms) => {
      until = world.now() + ms;
    },
    cutOff: (ms) => {
      awayUntil = world.now() + ms;
    },
    runtime: { ...plain, sleep: slow(plain.sleep) },
    log: (log) => ({
      ...log,
      append: remote(log.append),
      read: remote(log.read),
      at: remote(log.at),
      head: remote(log.head),
      scan: (options) => slowly(log.scan(options)),
    }),
    bucket: (bucket) => ({
      ...bucket,
      get: remote(bucket.get),
      write: remote(bucket.write),
      writeAll: bucket.writeAll && remote(bucket.writeAll),
      rows: (options) => slowly(bucket.rows(options)),
      watch: (options) => slowly(bucket.watch(options)),
    }),
  };
}
