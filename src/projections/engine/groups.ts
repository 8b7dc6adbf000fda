import type { SlotGroup } from '../../eventstore/index.ts';
import { type Projection, RESERVED } from './projection.ts';
import type { ProjectionSettings } from './settings.ts';

export type GroupCount = SlotGroup['count'];

/** Into how many groups a projection's work is shared out. @internal */
export function groupCountOf(projection: Projection, settings: ProjectionSettings): GroupCount {
  if (projection.crossesAggregates) return 1;
  return projection.groups ?? settings.groups;
}

/** All groups of a count. */
export function allGroups(count: GroupCount): SlotGroup[] {
  return Array.from({ length: count }, (_, index) => ({ count, index }));
}

/** The only group of a view that is not shared out. */
export const WHOLE: SlotGroup = { count: 1, index: 0 };

/** An engine's own key of one group: the plain key for a view of one group, else with the group's index behind it. */
export function keyOfGroup(key: string, { count, index }: SlotGroup): string {
  return count === 1 ? `${RESERVED}${key}` : `${RESERVED}${key}.${index}`;
}

const LEAST_IN_FLIGHT = 8;
const LEAST_BATCH = 100;
const LEAST_BACKLOG = 1_000;

/**
 * The settings of one group: all groups of a view together take about what one would. Checkpoints are paced by the
 * square root of the count: 64 groups write eight times as many as one, each an eighth as often.
 */
export function settingsOfGroup(settings: ProjectionSettings, count: GroupCount): ProjectionSettings {
  if (count === 1) return settings;
  const share = (whole: number, least: number) => Math.min(whole, Math.max(least, Math.ceil(whole / count)));
  return {
    ...settings,
    maxInFlight: share(settings.maxInFlight, LEAST_IN_FLIGHT),
    batchRows: share(settings.batchRows, LEAST_BATCH),
    cacheRows: share(settings.cacheRows, 1),
    cacheBytes: share(settings.cacheBytes, 1),
    maxBacklog: share(settings.maxBacklog, LEAST_BACKLOG),
    checkpointMs: settings.checkpointMs * Math.sqrt(count),
  };
}
