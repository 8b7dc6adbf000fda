/** What a service process can be asked to do; each answers with one duration in milliseconds for each sample. */
export type TaskName =
  | 'append-warm'
  | 'append-new'
  | 'append-old'
  | 'warm-command'
  | 'cold-snapshot'
  | 'cold-log'
  | 'cold-log-scattered'
  | 'long-snapshot'
  | 'long-log-in-a-row'
  | 'long-log-scattered';

/** An aggregate and the version it has. */
export interface Target {
  readonly id: string;
  readonly version: number;
}

/** One batch of samples, one after the other, each on a target of its own. */
export interface Task {
  readonly name: TaskName;
  readonly targets: readonly Target[];
}

/** What a parent asks of a service process. */
export type Question = { readonly measure: Task } | { readonly fill: readonly string[] };

/** What it says: that it is there, and then one answer to each question. */
export type Answer =
  | { readonly ready: true }
  | { readonly samples: readonly number[] }
  | { readonly failed: string };
