import type { Attributes } from '@opentelemetry/api';

interface Branch {
  readonly next: Map<string, Branch>;
  labels: Attributes | undefined;
}

/**
 * Labels of a metric: for the same values always the same object, by which an instrument knows it without looking into
 * it. To be used where something is measured for each request; the values must be few.
 */
export function labelSets(...names: readonly string[]): (...values: readonly string[]) => Attributes {
  const root: Branch = { next: new Map(), labels: undefined };
  return (...values) => {
    let branch = root;
    for (const value of values) {
      let next = branch.next.get(value);
      if (next === undefined) {
        next = { next: new Map(), labels: undefined };
        branch.next.set(value, next);
      }
      branch = next;
    }
    branch.labels ??= Object.fromEntries(names.map((name, i) => [name, values[i]]));
    return branch.labels;
  };
}
