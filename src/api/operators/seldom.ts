import type { ServiceDeps } from '../deps.ts';
import { notificationsBody, webhooksBody } from './outgoing.ts';
import { backupsBody } from './upkeep.ts';
import { paymentsBody, timersBody } from './waiting.ts';

/** What costs more to look at, and changes seldom, is looked at less often. */
const EVERY_MS = 5_000;
const MOST = 50;

/** The sections of the live stream that are as old as that, or older while one of them cannot be made. Never rejects. */
export function createSeldom(deps: ServiceDeps): () => Promise<Readonly<Record<string, object>>> {
  let at = Number.NEGATIVE_INFINITY;
  let last: Readonly<Record<string, object>> = {};
  return async () => {
    if (performance.now() - at < EVERY_MS) return last;
    try {
      last = await look(deps);
    } catch {
      // A list may not be built yet; that the log is away is told by what is looked at often.
    }
    at = performance.now();
    return last;
  };
}

async function look(deps: ServiceDeps): Promise<Readonly<Record<string, object>>> {
  const [timers, payments, notifications, webhooks, off, backups] = await Promise.all([
    timersBody(deps, MOST),
    paymentsBody(deps),
    deps.admin.notifications().then(notificationsBody),
    webhooksBody(deps, { limit: MOST }),
    webhooksBody(deps, { limit: MOST, status: 'disabled' }),
    deps.admin.backups().then(backupsBody),
  ]);
  return { timers, payments, backups, outgoing: { notifications, webhooks, disabled: off.items } };
}
