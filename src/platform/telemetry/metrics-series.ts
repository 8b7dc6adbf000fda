import type { Attributes } from '@opentelemetry/api';

/** One label set of an instrument. */
export interface Series {
  readonly attributes: Attributes;
  /** Milliseconds since the Unix epoch. */
  readonly startedAt: number;
  count: number;
  sum: number;
  /** How many values are in each bucket of a histogram; empty for a counter. */
  readonly buckets: number[];
}

/** The label sets of one instrument. */
export interface AllSeries {
  /** The one of these labels; an object of labels that was used before must not have changed. */
  of(attributes: Attributes | undefined): Series;
  all(): Iterable<Series>;
}

const NONE: Attributes = {};
const OVERFLOW: Attributes = { 'otel.metric.overflow': true };

/**
 * Finds label sets by the object they come in, and looks into an object only when it was not met before.
 * @param most label sets; whatever comes later is counted together, under the name that OpenTelemetry has for it
 * @param buckets of each
 */
export function createSeries(most: number, buckets: number): AllSeries {
  const byObject = new WeakMap<Attributes, Series>();
  const byText = new Map<string, Series>();

  function find(attributes: Attributes): Series {
    const text = textOf(attributes);
    const known = byText.get(text);
    if (known !== undefined) return known;
    if (byText.size >= most - 1 && attributes !== OVERFLOW) return find(OVERFLOW);
    const counts = Array.from({ length: buckets }, () => 0);
    const series = { attributes, startedAt: Date.now(), count: 0, sum: 0, buckets: counts };
    byText.set(text, series);
    return series;
  }

  return {
    of: (attributes = NONE) => {
      let series = byObject.get(attributes);
      if (series === undefined) {
        series = find(attributes);
        byObject.set(attributes, series);
      }
      return series;
    },
    all: () => byText.values(),
  };
}

function textOf(attributes: Attributes): string {
  return JSON.stringify(Object.entries(attributes).sort(([a], [b]) => (a < b ? -1 : 1)));
}
