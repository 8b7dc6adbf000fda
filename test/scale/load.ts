import { numberOf } from '../../src/eventstore/position.ts';
import { sealSnapshot } from '../../src/eventstore/snapshots/stored.ts';
import {
  appendOne,
  COMMITS,
  idOf,
  inFlight,
  LONG_COMMITS,
  type Member,
  SCATTERED,
  unwritten,
} from './aggregates.ts';
import { type Opened, snapshotKeyOf } from './connect.ts';

/** What was written. */
export interface LoadedLog {
  /** The version of each ordinary aggregate, by index. */
  readonly versions: Float64Array;
  readonly commits: number;
  readonly seconds: number;
}

/** Ordinary aggregates alive at the same time: the commits of one lie among those of this many others. */
export const ALIVE = 10_000;
const IN_FLIGHT = 256;

/**
 * Writes a log: the ordinary aggregates generation by generation, meanwhile those whose commits lie across all of it,
 * and snapshots of all that are measured with one.
 * @param onProgress told how many ordinary aggregates are complete
 */
export async function loadLog(
  opened: Opened,
  count: number,
  onProgress: (done: number) => void,
): Promise<LoadedLog> {
  const { log } = opened;
  const startedAt = performance.now();
  const versions = new Float64Array(count);
  await writeInARow(opened);
  const kept = unwritten(idOf('long-with-snapshot', 0));
  const drip = createDrip(opened, count * COMMITS, kept);
  for (let from = 0; from < count; from += ALIVE) {
    const generation = Array.from({ length: Math.min(ALIVE, count - from) }, (_, i) =>
      unwritten(idOf('ordinary', from + i)),
    );
    for (let commit = 0; commit < COMMITS; commit++) {
      await inFlight(IN_FLIGHT, generation, async (member) => {
        await appendOne(log, member);
        drip.tick();
      });
    }
    for (const [i, { folded }] of generation.entries()) versions[from + i] = folded.version;
    await inFlight(IN_FLIGHT, generation, (member) => putSnapshot(opened, member));
    onProgress(from + generation.length);
  }
  await drip.finished();
  await putSnapshot(opened, kept);
  const commits = await log.head();
  return { versions, commits: numberOf(commits), seconds: (performance.now() - startedAt) / 1_000 };
}

async function writeInARow({ log }: Opened): Promise<void> {
  const member = unwritten(idOf('in-a-row', 0));
  for (let i = 0; i < LONG_COMMITS; i++) await appendOne(log, member);
}

/** Appends to some aggregates now and then, so that their commits lie evenly across a log of `total` commits. */
function createDrip({ log }: Opened, total: number, kept: Member) {
  const long = unwritten(idOf('long', 0));
  const scattered = Array.from({ length: SCATTERED }, (_, i) => unwritten(idOf('scattered', i)));
  const rounds = { long: LONG_COMMITS, scattered: SCATTERED * COMMITS };
  const written = { long: 0, scattered: 0 };
  let ticks = 0;
  let chain: Promise<void> = Promise.resolve();
  const write = (members: readonly Member[]): void => {
    chain = chain.then(() => inFlight(IN_FLIGHT, members, (member) => appendOne(log, member)));
    // Its failure is that of `finished`.
    chain.catch(() => undefined);
  };
  const due = (kind: keyof typeof rounds): number => Math.floor((ticks * rounds[kind]) / total);
  return {
    tick: () => {
      ticks++;
      for (; written.long < due('long'); written.long++) write([long, kept]);
      // One after the other, so that hardly two of them share a block.
      for (; written.scattered < due('scattered'); written.scattered++) {
        write(scattered.slice(written.scattered % SCATTERED).slice(0, 1));
      }
    },
    finished: () => chain,
  };
}

/** Writes the snapshot that the handler would have written behind the last answer. */
async function putSnapshot({ log, store }: Opened, { stream, folded }: Member): Promise<void> {
  await store.put(snapshotKeyOf(stream.id), sealSnapshot(log.incarnation, folded));
}
