import { signal } from '@preact/signals';

const KEPT = 'jetledger.times';

/** Whether times are shown in UTC; kept for the next visit. */
export const inUtc = signal(localStorage.getItem(KEPT) === 'utc');

export function toggleUtc(): void {
  inUtc.value = !inUtc.value;
  localStorage.setItem(KEPT, inUtc.value ? 'utc' : 'local');
}

/** Now, for ages; ticks every second. */
export const now = signal(Date.now());
setInterval(() => {
  now.value = Date.now();
}, 1_000);

const OPTIONS: Intl.DateTimeFormatOptions = {
  ...{ year: 'numeric', month: '2-digit', day: '2-digit' },
  ...{ hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false },
};
const MILLISECONDS: Intl.DateTimeFormatOptions = { ...OPTIONS, fractionalSecondDigits: 3 };
const UTC = { timeZone: 'UTC' };
// One takes as long to make as to format a hundred times with.
const formats = {
  local: [OPTIONS, MILLISECONDS].map((options) => new Intl.DateTimeFormat('sv-SE', options)),
  utc: [OPTIONS, MILLISECONDS].map((options) => new Intl.DateTimeFormat('sv-SE', { ...options, ...UTC })),
};

function text(time: number, digits: 0 | 1): string {
  const format = inUtc.value ? formats.utc[digits] : formats.local[digits];
  return `${format?.format(time)}${inUtc.value ? ' UTC' : ''}`;
}

/** A time as a person reads it, to the second. */
export const timeText = (iso: string): string => text(Date.parse(iso), 0);

/** A time to the millisecond. @param ms since the Unix epoch */
export const clock = (ms: number): string => text(ms, 1);

/** How long ago, in the largest unit that fits. */
export function age(iso: string): string {
  return span(Math.max(0, (now.value - Date.parse(iso)) / 1_000));
}

/** How long until a time, or how long ago it was. */
export function due(iso: string): string {
  const seconds = (Date.parse(iso) - now.value) / 1_000;
  return seconds >= 0 ? `in ${span(seconds)}` : `late by ${span(-seconds)}`;
}

/** A length of time. @param seconds from 0 */
export function span(seconds: number): string {
  if (seconds < 1) return `${Math.round(seconds * 1_000)} ms`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5_400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3_600)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}

/** The beginning of an id, as long as a line of a table takes. */
export const shortId = (id: string): string => (id.length > 20 ? `${id.slice(0, 18)}…` : id);
/** A length of time with three digits that count. @param ms from 0 */
export function duration(ms: number): string {
  if (ms < 1_000) return `${ms.toFixed(ms < 10 ? 2 : ms < 100 ? 1 : 0)} ms`;
  const seconds = ms / 1_000;
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
}

export const count = (value: number): string => value.toLocaleString('en-GB');

/** A size in the largest unit that fits. */
export function size(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let at = 0;
  while (value >= 1_024 && at < units.length - 1) {
    value /= 1_024;
    at++;
  }
  return `${value < 10 && at > 0 ? value.toFixed(1) : Math.round(value)} ${units[at]}`;
}

/** The last part of an event's type. */
export const shortType = (type: string): string => type.slice(type.lastIndexOf('.') + 1);

export const many = (value: number, one: string, more = `${one}s`): string =>
  `${count(value)} ${value === 1 ? one : more}`;
