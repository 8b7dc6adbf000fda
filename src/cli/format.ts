const UNITS = ['bytes', 'KB', 'MB', 'GB', 'TB'];

/** A number of bytes for people: `12 bytes`, `3.4 MB`. */
export function size(bytes: number): string {
  let unit = 0;
  let value = bytes;
  for (; value >= 1_000 && unit < UNITS.length - 1; unit++) value /= 1_000;
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit]}`;
}

/** JSON of anything that a state or an event holds: large integers as strings, bytes in base64. */
export function plainJson(value: unknown, indent?: number): string {
  const plain = (_key: string, inner: unknown): unknown => {
    if (typeof inner === 'bigint') return inner.toString();
    if (inner instanceof Uint8Array) return Buffer.from(inner).toString('base64');
    if (inner instanceof Map) return Object.fromEntries(inner);
    return inner instanceof Set ? [...inner] : inner;
  };
  return JSON.stringify(value, plain, indent);
}
