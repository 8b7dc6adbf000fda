import { setTimeout as delay } from 'node:timers/promises';
import type { TestServer } from '../../src/testing/nats-server.ts';
import type { Fleet } from './fleet.ts';
import type { SecondService } from './fulfilment.ts';

/** What faults are done to. */
export interface Victims {
  readonly fleet: Fleet;
  readonly nats: TestServer;
  readonly second: SecondService | undefined;
  /** In [0, 1). */
  readonly random: () => number;
}

type FaultName = 'kill-instance' | 'pause-instance' | 'kill-nats' | 'kill-second';

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
  'kill-second': async ({ second, random }) => second?.kill(random()),
};

const MIX: readonly FaultName[] = [
  'kill-instance',
  'kill-instance',
  'kill-instance',
  'pause-instance',
  'pause-instance',
  'kill-nats',
];

/** Beside them, where there is a second service. */
const MIX_OF_TWO: readonly FaultName[] = [...MIX, 'kill-second', 'kill-second', 'kill-second'];

/** Does them one after the other until the signal fires; counts go up as they are done. */
export async function injectAtRandom(
  victims: Victims,
  counts: Map<string, number>,
  signal: AbortSignal,
): Promise<void> {
  const mix = victims.second === undefined ? MIX : MIX_OF_TWO;
  while (!signal.aborted) {
    await delay(2_000 + victims.random() * 3_000, undefined, { signal }).catch(() => undefined);
    const name = mix[Math.floor(victims.random() * mix.length)];
    if (signal.aborted || name === undefined) return;
    await inject(name, victims, counts);
  }
}

/** Does one fault. */
export async function inject(name: FaultName, victims: Victims, counts: Map<string, number>): Promise<void> {
  await FAULTS[name](victims);
  counts.set(name, (counts.get(name) ?? 0) + 1);
}
