const PAD = 2;
const two = (number) => String(number).padStart(PAD, '0');

/** A time of day with milliseconds, in the browser's zone. */
export function timeOf(ms) {
  const date = new Date(ms);
  const clock = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':');
  return `${clock}.${String(date.getMilliseconds()).padStart(PAD + 1, '0')}`;
}

/** Day and time, in the browser's zone. */
export function momentOf(ms) {
  const date = new Date(ms);
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${timeOf(ms)}`;
}

/** A duration with three digits that count: `0.42 ms`, `12.3 ms`, `1.53 s`, `2 min 05 s`. */
export function durationOf(ms) {
  if (ms < 1) return `${ms.toFixed(2)} ms`;
  if (ms < 1_000) return `${ms.toFixed(ms < 10 ? 2 : ms < 100 ? 1 : 0)} ms`;
  const seconds = ms / 1_000;
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`;
  return `${Math.floor(seconds / 60)} min ${two(Math.floor(seconds % 60))} s`;
}

/** A tick of the time axis: short, since its neighbours say the rest. */
export function tickOf(ms) {
  if (ms === 0) return '0';
  if (ms < 1_000) return `${Number(ms.toPrecision(PAD + 1))} ms`;
  return durationOf(ms);
}

/** An attribute as text. */
export function textOf(value) {
  return Array.isArray(value) ? value.map(String).join(', ') : String(value);
}

/** `1 span`, `2 spans` */
export function count(number, noun) {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
