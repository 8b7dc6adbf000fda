import { createPrng } from '../../../src/testing/world.ts';
import { pick } from './email-scenario.ts';

/** What the producers append: each commit's aggregate, whether its handler fails until it is repaired, and the pause before it. */
export interface EngineScenario {
  readonly commits: readonly { readonly id: string; readonly poison: boolean; readonly pauseMs: number }[];
  /** When an operator redrives or discards what is parked then, in milliseconds from the start. */
  readonly operations: readonly { readonly atMs: number; readonly what: 'redrive' | 'discard' }[];
  /** When an instance hangs, and for how long, in milliseconds from the start. */
  readonly hangs: readonly { readonly place: number; readonly atMs: number; readonly forMs: number }[];
  /** When no instance reaches the server, and for how long, in milliseconds from the start. */
  readonly outages: readonly { readonly atMs: number; readonly forMs: number }[];
  /** Where the consumer begins, which starts while commits are stored. */
  readonly from: 'beginning' | 'now';
}

/** Few aggregates with several commits each, in one group and in others. */
const AGGREGATES = ['a', 'b', 'c', 'd', 'e'] as const;

/** How long a schedule's first part lasts, in milliseconds. */
export const ACTIVE_MS = 8_000;

/** The scenario of a seed. */
export function engineScenarioOf(seed: number): EngineScenario {
  const prng = createPrng(seed ^ 0xe6);
  const poisoned = prng() < 0.5 ? AGGREGATES[pick(prng, AGGREGATES.length)] : undefined;
  const commits = Array.from({ length: 6 + pick(prng, 20) }, () => {
    const id = AGGREGATES[pick(prng, AGGREGATES.length)] ?? 'a';
    return { id, poison: id === poisoned && prng() < 0.5, pauseMs: prng() < 0.5 ? 0 : pick(prng, 1_000) };
  });
  const operations = Array.from({ length: pick(prng, 3) }, () => {
    const what = prng() < 0.6 ? ('redrive' as const) : ('discard' as const);
    return { atMs: pick(prng, ACTIVE_MS), what };
  });
  const hangs = Array.from({ length: pick(prng, 3) }, () => ({
    place: pick(prng, 2),
    atMs: pick(prng, ACTIVE_MS),
    forMs: 500 + pick(prng, 8_000),
  }));
  const outages = Array.from({ length: prng() < 0.25 ? 1 + pick(prng, 3) : 0 }, () => ({
    atMs: pick(prng, ACTIVE_MS),
    forMs: 100 + pick(prng, 3_000),
  }));
  const from = prng() < 0.3 ? 'now' : 'beginning';
  return { commits, operations, hangs, outages, from };
}

/** The scenario made smaller in every way that leaves something out. */
export function* smallerEngineScenario(scenario: EngineScenario): Generator<EngineScenario> {
  for (const part of ['commits', 'operations', 'hangs', 'outages'] as const) {
    for (const at of scenario[part].keys()) {
      yield { ...scenario, [part]: scenario[part].filter((_, other) => other !== at) };
    }
  }
}
