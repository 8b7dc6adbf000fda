import type { ServiceDeps } from '../deps.ts';
import { paymentsBody, timersBody } from './waiting.ts';

/** What costs more to look at, and changes seldom, is looked at less often. */
const EVERY_MS = 5_000;
const MOST = 50;

/** The sections of the live stream that are as old as that. @throws LogUnavailable */
export function createSeldom(deps: ServiceDeps): () => Promise<Readonly<Record<string, object>>> {
  let at = Number.NEGATIVE_INFINITY;
  let last: Readonly<Record<string, object>> = {};
  return async () => {
    if (performance.now() - at < EVERY_MS) return last;
    const [timers, payments] = await Promise.all([timersBody(deps, MOST), paymentsBody(deps)]);
    last = { timers, payments };
    at = performance.now();
    return last;
  };
}
