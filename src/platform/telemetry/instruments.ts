import {
  type Attributes,
  type Counter,
  type Histogram,
  type Meter,
  type MetricOptions,
  ValueType,
} from '@opentelemetry/api';
import { hrTime, millisToHrTime } from '@opentelemetry/core';
import { emptyResource } from '@opentelemetry/resources';
import {
  AggregationTemporality,
  DataPointType,
  type MetricData,
  type MetricProducer,
} from '@opentelemetry/sdk-metrics';

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

export interface InstrumentSettings {
  /** The name under which everything is measured. */
  readonly scope: string;
  /** Label sets that one instrument may have. */
  readonly maxSeries: number;
  /** Upper bounds of the buckets of a histogram. */
  readonly boundariesOf: (name: string) => readonly number[];
}

/** Counters and histograms of our own, beside what the SDK has. */
export interface Instruments {
  /** What readers collect their numbers from. */
  readonly producer: MetricProducer;
  /** The SDK's meter, but for counters and histograms. */
  over(sdk: Meter): Meter;
}

type Collected = () => MetricData;

/**
 * Counters and histograms that know labels by the object that holds them. The SDK's sort the labels and write them as
 * JSON for every single number, and nine numbers are measured of each order.
 */
export function createInstruments({ scope, maxSeries, boundariesOf }: InstrumentSettings): Instruments {
  const counters = new Map<string, { instrument: Counter; collect: Collected }>();
  const histograms = new Map<string, { instrument: Histogram; collect: Collected }>();

  function createCounter(name: string, options: MetricOptions = {}): Counter {
    let made = counters.get(name);
    if (made === undefined) {
      const series = createSeries(maxSeries, 0);
      made = { instrument: counterOf(series), collect: () => sumsOf(name, options, series) };
      counters.set(name, made);
    }
    return made.instrument;
  }

  function createHistogram(name: string, options: MetricOptions = {}): Histogram {
    let made = histograms.get(name);
    if (made === undefined) {
      const bounds = boundariesOf(name);
      const series = createSeries(maxSeries, bounds.length + 1);
      const collect = () => distributionsOf(name, options, bounds, series);
      made = { instrument: histogramOf(bounds, series), collect };
      histograms.set(name, made);
    }
    return made.instrument;
  }

  return {
    producer: {
      collect: async () => {
        const all = [...counters.values(), ...histograms.values()].map(({ collect }) => collect());
        const metrics = all.filter(({ dataPoints }) => dataPoints.length > 0);
        const scopeMetrics = [{ scope: { name: scope }, metrics }];
        return { resourceMetrics: { resource: emptyResource(), scopeMetrics }, errors: [] };
      },
    },
    // What is not made here is found on the SDK's own meter.
    over: (sdk) => Object.assign(Object.create(sdk) as Meter, { createCounter, createHistogram }),
  };
}

function counterOf(series: AllSeries): Counter {
  return {
    add: (value, attributes) => {
      if (value >= 0) series.of(attributes).sum += value;
    },
  };
}

function histogramOf(bounds: readonly number[], series: AllSeries): Histogram {
  return {
    record: (value, attributes) => {
      if (!(value >= 0)) return;
      const one = series.of(attributes);
      let bucket = 0;
      while (bucket < bounds.length && value > (bounds[bucket] ?? 0)) bucket++;
      one.buckets[bucket] = (one.buckets[bucket] ?? 0) + 1;
      one.count++;
      one.sum += value;
    },
  };
}

function sumsOf(name: string, options: MetricOptions, series: AllSeries): MetricData {
  return {
    ...aboutOf(name, options),
    dataPointType: DataPointType.SUM,
    isMonotonic: true,
    dataPoints: pointsOf(series, ({ sum }) => sum),
  };
}

function distributionsOf(
  name: string,
  options: MetricOptions,
  bounds: readonly number[],
  series: AllSeries,
): MetricData {
  return {
    ...aboutOf(name, options),
    dataPointType: DataPointType.HISTOGRAM,
    dataPoints: pointsOf(series, ({ count, sum, buckets }) => ({
      count,
      sum,
      buckets: { boundaries: [...bounds], counts: [...buckets] },
    })),
  };
}

function aboutOf(name: string, { description = '', unit = '', valueType = ValueType.DOUBLE }: MetricOptions) {
  return {
    descriptor: { name, description, unit, valueType },
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
  };
}

function pointsOf<Point>(series: AllSeries, read: (one: Series) => Point) {
  const endTime = hrTime();
  return Array.from(series.all(), (one) => {
    const { attributes, startedAt } = one;
    return { attributes, startTime: millisToHrTime(startedAt), endTime, value: read(one) };
  });
}
