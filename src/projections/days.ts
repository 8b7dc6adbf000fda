import { InvalidPeriod, type ReadOptions, type Statistics, type StatisticsRequest } from './read-models.ts';
import { parseRow } from './row-loader.ts';
import type { ViewAccess } from './view-access.ts';
import type { DayRow } from './views/statistics.ts';

/** The longest period that one query may ask for. */
const MOST_DAYS = 366;
const DAY_MS = 86_400_000;

/** The rows of the days from `from` to `to`, both included; a day without an event has none. One read per day. */
export async function readDays(
  access: ViewAccess,
  request: StatisticsRequest & ReadOptions,
): Promise<Statistics> {
  const days = daysOf(request);
  const live = await access.bucket(request);
  if (live === undefined) return { days: [] };
  const leader = request.minPosition !== undefined;
  const rows = await Promise.all(days.map((day) => live.bucket.get(day, { leader })));
  return { days: rows.flatMap((row) => (row === undefined ? [] : [parseRow(row.value) as DayRow])) };
}

function daysOf({ from, to }: StatisticsRequest): string[] {
  const [first, last] = [timeOf(from), timeOf(to)];
  const count = (last - first) / DAY_MS + 1;
  if (!(count >= 1 && count <= MOST_DAYS)) {
    throw new InvalidPeriod(`Ask for 1 to ${MOST_DAYS} days, the last one not before the first.`);
  }
  return Array.from({ length: count }, (_, n) => dayOf(first + n * DAY_MS));
}

function dayOf(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}

function timeOf(day: string): number {
  const time = /^\d{4}-\d{2}-\d{2}$/.test(day) ? Date.parse(day) : Number.NaN;
  if (Number.isNaN(time) || dayOf(time) !== day) {
    throw new InvalidPeriod(`${JSON.stringify(day.slice(0, 20))} is no day; write it like 2026-01-15.`);
  }
  return time;
}
