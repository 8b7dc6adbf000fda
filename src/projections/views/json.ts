/** An integer of an event as a JSON number. @throws RangeError where a number would not keep it exactly */
export function exactNumber(value: bigint): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw new RangeError(`${value} is not an exact JSON number`);
  return number;
}

/** A time of an event, in milliseconds since the Unix epoch, as ISO 8601 in UTC. @throws RangeError */
export function isoTime(milliseconds: bigint): string {
  return new Date(exactNumber(milliseconds)).toISOString();
}
