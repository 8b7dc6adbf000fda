import type { Meter } from '@opentelemetry/api';
import type { ProjectionObserver } from '../observer.ts';

/**
 * Counts commits that views were handed in this process. What has not happened yet shows as 0.
 * @param namespace first word of each metric's name
 */
export function meterProjections(
  meter: Meter,
  { namespace, views }: { readonly namespace: string; readonly views: readonly string[] },
): ProjectionObserver {
  const applied = meter.createCounter(`${namespace}.view.applied.commits`, {
    description: 'Commits that a view was handed',
  });
  const labels = new Map(views.map((view) => [view, { view }]));
  for (const label of labels.values()) applied.add(0, label);
  return { applied: (view) => applied.add(1, labels.get(view) ?? { view }) };
}
