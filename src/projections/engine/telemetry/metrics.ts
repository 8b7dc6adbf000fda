import type { Meter } from '@opentelemetry/api';
import type { ProjectionObserver } from '../observer.ts';

/**
 * Counts commits that views were handed in this process, and times the writing of their rows. What has not happened yet shows as 0.
 * @param namespace first word of each metric's name
 */
export function meterProjections(
  meter: Meter,
  { namespace, views }: { readonly namespace: string; readonly views: readonly string[] },
): ProjectionObserver {
  const applied = meter.createCounter(`${namespace}.view.applied.commits`, {
    description: 'Commits that a view was handed',
  });
  const writing = meter.createHistogram(`${namespace}.view.write.duration`, {
    unit: 's',
    description: 'From sending rows of a view, one or many at a time, to knowing what became of them',
  });
  const labels = new Map(views.map((view) => [view, { view }]));
  for (const label of labels.values()) applied.add(0, label);
  return {
    applied: (view) => applied.add(1, labels.get(view) ?? { view }),
    wrote: (view, _rows, ms) => writing.record(ms / 1_000, labels.get(view) ?? { view }),
  };
}
