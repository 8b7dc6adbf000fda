import { groupOfSlot, SLOTS, type StreamRef, slotOf } from '../eventstore/stream.ts';
import type { View } from './view.ts';

/** The views that a commit of that aggregate concerns. */
export type Routes = (stream: StreamRef) => readonly View[];

const NONE: readonly View[] = [];

/** Finds views by category, and by slot where one of them takes only some. */
export function createRoutes(views: Iterable<View>): Routes {
  const byCategory = new Map<string, View[]>();
  for (const view of views) {
    for (const category of new Set(view.projection.sources.map((source) => source.category))) {
      const same = byCategory.get(category);
      if (same === undefined) byCategory.set(category, [view]);
      else same.push(view);
    }
  }
  const bySlot = new Map<string, readonly View[][]>();
  for (const [category, all] of byCategory) {
    if (all.every(({ group }) => group.count === 1)) continue;
    const slots = Array.from({ length: SLOTS }, (_, slot) =>
      all.filter(({ group }) => groupOfSlot(slot, group.count) === group.index),
    );
    bySlot.set(category, slots);
  }
  return ({ category, id }) =>
    (bySlot.size === 0 ? undefined : bySlot.get(category)?.[slotOf(id)]) ?? byCategory.get(category) ?? NONE;
}
