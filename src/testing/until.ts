import { setTimeout as delay } from 'node:timers/promises';

const LOOK_EVERY_MS = 20;
/** A look that takes long, since it reads a whole log, must not take the machine from those it waits for. */
const LOOK_EVERY_MOST_MS = 200;
const PAUSE_PER_LOOK = 2;

/**
 * Looks again and again until `holds` says yes. A look that throws counts as no.
 * @throws Error naming `what` and the last fault, after `withinMs`
 */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  withinMs = 10_000,
): Promise<void> {
  const deadline = performance.now() + withinMs;
  let fault: unknown;
  for (;;) {
    const began = performance.now();
    try {
      if (await holds()) return;
      fault = undefined;
    } catch (error) {
      fault = error;
    }
    const now = performance.now();
    if (now > deadline) throw new Error(`not within ${withinMs} ms: ${what}`, { cause: fault });
    await delay(Math.min(LOOK_EVERY_MOST_MS, Math.max(LOOK_EVERY_MS, PAUSE_PER_LOOK * (now - began))));
  }
}
