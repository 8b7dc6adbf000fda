import type { LeftOut } from '../platform/backup/manifest.ts';
import type { BackupPlan } from '../platform/backup/take.ts';
import { bucketNames, timersStream } from '../processes/engine/index.ts';
import { notificationStream } from '../processes/notification/adapters/outbox.ts';
import { views } from '../service/shop.ts';
import type { StreamNames } from '../service/topology.ts';

const kv = (bucket: string): string => `KV_${bucket}`;

/**
 * Which of the streams that exist are copied, in which order, and why; which are not, and why not.
 *
 * What must not be ahead of something else is copied before it: a cursor says "handled or a dead letter, and armed", so
 * the cursors come first, then what became a dead letter, was armed or published before a cursor was written, then the
 * log. The ledger of the simulated provider stands for one that no restore takes back: it may know more than the log,
 * and not less.
 */
export function planBackup({ stream, prefix }: StreamNames, existing: readonly string[]): BackupPlan {
  const { shared, cursors, parked } = bucketNames(prefix);
  const wanted = [
    { name: kv(cursors), what: 'how far each consumer is' },
    { name: kv(parked), what: 'dead letters' },
    { name: kv(shared), what: 'pauses, and into how many groups consumers are shared' },
    { name: timersStream(prefix), what: 'armed timers' },
    { name: notificationStream(prefix), what: 'notifications that wait' },
    { name: stream, what: 'the log' },
    { name: kv(`${prefix}_payments`), what: 'the ledger of the simulated payment provider' },
  ];
  const streams = wanted.filter(({ name }) => existing.includes(name));
  const copied = new Set(streams.map(({ name }) => name));
  const leftOut = existing
    .filter((name) => !copied.has(name))
    .map((name) => ({ name, why: whyLeftOut(prefix, name) }));
  return { streams, leftOut };
}

/** Said of a stream that nobody here knows: then the plan has to be extended. */
export const UNKNOWN = 'not known to this version: it is not in the backup';

function whyLeftOut(prefix: string, name: string): LeftOut['why'] {
  if (name === kv(`${prefix}_snapshots`)) return 'a cache';
  if (name === kv(`${prefix}_views`)) return 'says which bucket is live; made anew with the views';
  if (name === kv(`${prefix}_members`)) return 'the instances that run';
  const isView = views.some((view) => name.startsWith(kv(`${prefix}_${view.name}_v`)));
  return isView ? 'a view, folded from the log again' : UNKNOWN;
}
