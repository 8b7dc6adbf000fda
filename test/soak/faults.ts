import { setTimeout as delay } from 'node:timers/promises';
import type { TestServer } from '../../src/testing/nats-server.ts';
import type { Fleet } from './fleet.ts';

/** What faults are done to. */
export interface Victims {
  readonly fleet: Fleet;
  readonly nats: TestServer;
  /** In [0, 1). */
  readonly random: () => number;
}

type FaultName = 'kill-instance' | 'pause-instance' | 'kill-nats';

// Each does something bad, waits, and undoes it. Pauses may outlast the lease of a group.
const FAULTS: Readonly<Record<FaultName, (victims: Victims) => Promise<void>>> = {
  'kill-instance': ({ fleet, random }) => fleet.kill(Math.floor(random() * fleet.size)),
  'pause-instance': ({ fleet, random }) =>
    fleet.pause(Math.floor(random() * fleet.size), () => delay(1_000 + random() * 8_000)),
  'kill-nats': async ({ nats, random }) => {
    await nats.kill9();
    await delay(random() * 2_000);
    await nats.restart();
  },
};

const MIX: readonly FaultName[] = [
  'kill-instance',
  'kill-instance',
  'kill-instance',
  'pause-instance',
  'pause-instance',
  'kill-nats',
];

/** Does them one after the other until the signal fires; counts go up as they are done. */
export async function injectAtRandom(
  victims: Victims,
  counts: Map<string, number>,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await delay(2_000 + victims.random() * 3_000, undefined, { signal }).catch(() => undefined);
    const name = MIX[Math.floor(victims.random() * MIX.length)];
    if (signal.aborted || name === undefined) return;
    await inject(name, victims, counts);
  }
}

/** Does one fault. */
export async function inject(name: FaultName, victims: Victims, counts: Map<string, number>): Promise<void> {
  await FAULTS[name](victims);
  counts.set(name, (counts.get(name) ?? 0) + 1);
}
