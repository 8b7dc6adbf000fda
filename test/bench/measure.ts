import { readFile } from 'node:fs/promises';
import { type Stat, statOf } from './result.ts';

/** How long a side is measured in one round, in seconds, before `scale`. */
const SECONDS = 2;
/** The shortest measurement that says anything. */
const SHORTEST_SECONDS = 0.3;

/** Seconds of one measurement. */
export function secondsOf(scale: number): number {
  return Math.max(SHORTEST_SECONDS, SECONDS * scale);
}

/** A number of things to make ready, in proportion, at least `least`. */
export function scaled(count: number, scale: number, least: number): number {
  return Math.max(least, Math.round(count * scale));
}

/**
 * Operations per second of callers that each do one after the other. What fails to be an operation (a lost race)
 * returns false and is not counted.
 */
export async function perSecond(
  callers: number,
  seconds: number,
  operation: (caller: number) => Promise<boolean>,
): Promise<number> {
  const start = performance.now();
  const end = start + seconds * 1_000;
  let done = 0;
  const call = async (caller: number): Promise<void> => {
    while (performance.now() < end) if ((await operation(caller)) && performance.now() < end) done++;
  };
  await Promise.all(Array.from({ length: callers }, (_, caller) => call(caller)));
  return done / seconds;
}

/** Two or more ways to do the same work, each measured once a round, one after the other; a first round only warms up. */
export async function interleaved<Side extends string, Measured = number>(
  rounds: number,
  sides: Readonly<Record<Side, () => Promise<Measured>>>,
): Promise<Record<Side, Measured[]>> {
  const names = Object.keys(sides) as Side[];
  const measured = Object.fromEntries(names.map((name) => [name, [] as Measured[]])) as Record<
    Side,
    Measured[]
  >;
  for (const name of names) await sides[name]();
  for (let round = 0; round < rounds; round++) {
    // Who goes first changes, so that neither is always measured on a warmer machine.
    for (const name of round % 2 === 0 ? names : [...names].reverse()) {
      measured[name].push(await sides[name]());
    }
  }
  return measured;
}

/** The median of the rounds' own ratios: what disturbs a round disturbs both of its sides. */
export function ratioOf(above: readonly number[], below: readonly number[]): number {
  return statOf(ratiosOf(above, below)).median;
}

const ratiosOf = (above: readonly number[], below: readonly number[]): number[] =>
  above.map((value, round) => value / (below[round] ?? Number.NaN));

/**
 * Between which two of the rounds' ratios their true median lies in 95 of 100 such runs, whatever they are distributed
 * like; of fewer than six rounds between all of them, which is less sure.
 */
export function intervalOf(above: readonly number[], below: readonly number[]): readonly [number, number] {
  const sorted = ratiosOf(above, below).sort((a, b) => a - b);
  const rounds = sorted.length;
  // As many may be left out at each end as heads come up in 2.5 of 100 series of coins.
  let left = 0;
  let ways = 1;
  for (let sum = 1; sum + (ways * (rounds - left)) / (left + 1) <= 0.025 * 2 ** rounds; left++) {
    ways = (ways * (rounds - left)) / (left + 1);
    sum += ways;
  }
  return [sorted[left] ?? Number.NaN, sorted[rounds - 1 - left] ?? Number.NaN];
}

/** CPU that a process has used so far, in microseconds; in steps of 10 ms. NaN where there is no /proc. */
export async function cpuOf(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  const [user, system] = text.slice(text.lastIndexOf(')')).split(' ').slice(12);
  return (Number(user) + Number(system)) * 10_000;
}

/** Statistics of one side, whole numbers where they are large. */
export function rounded(values: readonly number[]): Stat {
  const { median, min, max } = statOf(values);
  return { median: round(median), min: round(min), max: round(max) };
}

const round = (value: number): number => (value >= 100 ? Math.round(value) : Math.round(value * 10) / 10);
