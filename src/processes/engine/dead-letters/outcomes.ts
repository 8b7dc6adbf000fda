import type { Runtime } from '../../../eventstore/index.ts';
import type { DeadLetter } from './entry.ts';
import type { DeadLetterPort } from './operator-port.ts';

/**
 * What became of a dead letter that an operator had marked: `done` = it was handled or given up, and is gone; `failed` =
 * it was tried and is a dead letter again; `waiting` = nobody has brought it to an end yet.
 */
export interface MarkedOutcome {
  readonly entry: DeadLetter;
  readonly outcome: 'done' | 'failed' | 'waiting';
}

const LOOK_EVERY_MS = 200;

/** Waits until each has an outcome, at most `withinMs`; what has none by then is `waiting`. @throws LogUnavailable */
export async function awaitOutcomes(
  { port, runtime }: { readonly port: Pick<DeadLetterPort, 'show'>; readonly runtime: Runtime },
  marked: readonly DeadLetter[],
  { withinMs, onOutcome }: { withinMs: number; onOutcome?: (done: number, total: number) => void },
): Promise<readonly MarkedOutcome[]> {
  const deadline = runtime.now() + withinMs;
  const known = new Map<DeadLetter, MarkedOutcome>();
  for (;;) {
    for (const entry of marked) {
      const outcome = known.get(entry)?.outcome ?? 'waiting';
      if (outcome === 'waiting') known.set(entry, await look(port, entry));
    }
    const ended = [...known.values()].filter(({ outcome }) => outcome !== 'waiting').length;
    onOutcome?.(ended, marked.length);
    if (ended === marked.length || runtime.now() >= deadline) return [...known.values()];
    await runtime.sleep(LOOK_EVERY_MS);
  }
}

/** As long as it is marked somebody is at it, or will be. */
async function look(port: Pick<DeadLetterPort, 'show'>, entry: DeadLetter): Promise<MarkedOutcome> {
  const now = await port.show(entry.consumer, entry, entry.position);
  if (now === undefined) return { entry, outcome: 'done' };
  return now.request === undefined ? { entry: now, outcome: 'failed' } : { entry: now, outcome: 'waiting' };
}
