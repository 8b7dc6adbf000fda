import type { Meter } from '@opentelemetry/api';
import type { Timer } from '../engine/timers.ts';

type Handle = (fired: Timer & { readonly attempt: number }) => Promise<void>;

/** Counts timers that were handled; `kinds` begin at 0. Fits around the handler that `Timers.deliver` is given. */
export function meterTimers(meter: Meter, kinds: readonly string[], handle: Handle): Handle {
  const fired = meter.createCounter('jetledger.timers.fired', {
    description: 'Timers that fired and were handled',
  });
  for (const kind of kinds) fired.add(0, { kind });
  return async (timer) => {
    await handle(timer);
    // A kind that nobody knows is refused by the handler and does not come here.
    fired.add(1, { kind: timer.kind });
  };
}
