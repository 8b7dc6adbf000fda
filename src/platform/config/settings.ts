import type { ConfigProblem } from './errors.ts';

/** A value as it was found. */
export interface Setting {
  readonly value: unknown;
  /** The file or variable that it came from. */
  readonly origin: string;
}

/** What one source (a file, the variables) says. */
export interface Layer {
  readonly settings: ReadonlyMap<string, Setting>;
  readonly problems: readonly ConfigProblem[];
}
