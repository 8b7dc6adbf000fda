/** A value that is expensive to read, for gauges: read at most every `maxAgeMs`, and a scrape waits `waitMs` at most. */
export interface CachedReading<T> {
  /** The newest value that could be had in time; undefined when there is none that is younger than `staleMs`. */
  get(): Promise<T | undefined>;
}

const DEFAULTS = { maxAgeMs: 5_000, waitMs: 800, staleMs: 60_000 };

/** Reads on demand only: what nobody asks for costs nothing. A read that fails keeps the last value until it is stale. */
export function cachedReading<T>(
  read: () => Promise<T>,
  options: Partial<typeof DEFAULTS> & { readonly now?: () => number } = {},
): CachedReading<T> {
  const { maxAgeMs, waitMs, staleMs, now = Date.now } = { ...DEFAULTS, ...options };
  let last: { readonly value: T; readonly at: number } | undefined;
  let reading: Promise<void> | undefined;

  const refresh = (): Promise<void> => {
    reading ??= read()
      .then((value) => {
        last = { value, at: now() };
      })
      .catch(() => undefined)
      .finally(() => {
        reading = undefined;
      });
    return reading;
  };
  return {
    get: async () => {
      if (last === undefined || now() - last.at >= maxAgeMs) await within(refresh(), waitMs);
      return last !== undefined && now() - last.at < staleMs ? last.value : undefined;
    },
  };
}

async function within(work: Promise<void>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([work, late]);
  clearTimeout(timer);
}
