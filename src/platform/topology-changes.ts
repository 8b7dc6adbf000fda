import type { StreamConfig } from '@nats-io/jetstream';

/** A field of a stream's configuration that differs from what is wanted. */
export interface FieldChange {
  readonly field: string;
  readonly current: unknown;
  readonly wanted: unknown;
}

/** One thing that `apply` would do, or refuses to do. */
export interface TopologyStep {
  readonly what: string;
  readonly action: 'create' | 'update' | 'none' | 'refuse';
  readonly detail: string;
  /** Field by field, where something exists and is to be another. */
  readonly changes?: readonly FieldChange[];
}

/** What `update` would change: only fields that `wanted` names count. */
export function changesOf(existing: StreamConfig, wanted: Partial<StreamConfig>): readonly FieldChange[] {
  const current = existing as Readonly<Partial<Record<string, unknown>>>;
  return Object.entries(wanted)
    .filter(([field, value]) => JSON.stringify(current[field]) !== JSON.stringify(value))
    .map(([field, value]) => ({ field, current: current[field], wanted: value }));
}

const NANOS_PER_SECOND = 1_000_000_000;
const IN_NANOS = new Set(['max_age', 'duplicate_window']);

/** For people: `num_replicas 1 -> 3; max_age 7 d -> 1 d`. */
export function describeChanges(changes: readonly FieldChange[]): string {
  return changes
    .map(({ field, current, wanted }) => `${field} ${shown(field, current)} -> ${shown(field, wanted)}`)
    .join('; ');
}

function shown(field: string, value: unknown): string {
  if (IN_NANOS.has(field) && typeof value === 'number') return duration(value / NANOS_PER_SECOND);
  if (value === undefined) return 'unset';
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** Seconds for people, in the largest unit that is whole. */
function duration(seconds: number): string {
  if (seconds === 0) return 'for ever';
  for (const [unit, length] of [
    ['d', 86_400],
    ['h', 3_600],
    ['min', 60],
  ] as const) {
    if (seconds % length === 0) return `${seconds / length} ${unit}`;
  }
  return `${seconds} s`;
}
