/** Median and extremes of the measured rounds of one side, in the row's unit. */
export interface Stat {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/**
 * One line of the results: what the product did and, where there is one, what the baseline did in the same
 * rounds. `ratio` is the one that `goal` is compared with; which side is divided by which is the scenario's
 * choice, so that a higher ratio is a better one unless `lowerIsBetter` says otherwise.
 */
export interface ResultRow {
  readonly name: string;
  readonly ratio?: number;
  /** Between what `ratio` lies with 95 % certainty. */
  readonly between?: readonly [number, number];
  readonly goal?: number;
  /** True: `goal` is the most that `ratio` may be. */
  readonly lowerIsBetter?: boolean;
  readonly product: Stat;
  readonly baseline?: Stat;
  readonly unit: string;
  readonly note?: string;
}

/** How long and how large to measure. `scale` multiplies the amounts of work: 1 is what the issue asks for. */
export interface BenchOptions {
  readonly rounds: number;
  readonly scale: number;
  print(line: string): void;
}

/** A group of measurements that is run, and can be chosen, as one. */
export interface Scenario {
  readonly name: string;
  readonly title: string;
  run(options: BenchOptions): Promise<readonly ResultRow[]>;
}

/** Median, smallest and largest of the values; of an even number of values the mean of the middle two. */
export function statOf(values: readonly number[]): Stat {
  if (values.length === 0) throw new RangeError('no value was measured');
  const sorted = [...values].sort((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  const lower = sorted[Math.ceil(sorted.length / 2) - 1] ?? Number.NaN;
  return { median: (lower + upper) / 2, min: sorted[0] ?? Number.NaN, max: sorted.at(-1) ?? Number.NaN };
}
