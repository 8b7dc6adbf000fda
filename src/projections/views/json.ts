/** An integer of an event as a JSON number. @throws RangeError where a number would not keep it exactly */
export function exactNumber(value: bigint): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw new RangeError(`${value} is not an exact JSON number`);
  return number;
}

const DAY_MS = 86_400_000;
let day = Number.NaN;
let date = '';

/**
 * A time of an event, in milliseconds since the Unix epoch, as ISO 8601 in UTC. Events of one day follow each other,
 * so the date is looked up once a day: half of what an order's row costs would be dates otherwise. @throws RangeError
 */
export function isoTime(milliseconds: bigint | number): string {
  const time = typeof milliseconds === 'number' ? milliseconds : exactNumber(milliseconds);
  const days = Math.floor(time / DAY_MS);
  if (days !== day) {
    const text = new Date(time).toISOString();
    // Years of more than four digits are rare enough.
    if (text.length !== 24) return text;
    [day, date] = [days, text.slice(0, 11)];
  }
  const ms = time - days * DAY_MS;
  const seconds = Math.floor(ms / 1_000);
  const minutes = Math.floor(seconds / 60);
  return `${date}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}:${two(seconds % 60)}.${three(ms % 1_000)}Z`;
}

function two(value: number): string {
  return value < 10 ? `0${value}` : `${value}`;
}

function three(value: number): string {
  return value < 100 ? `0${two(value)}` : `${value}`;
}
