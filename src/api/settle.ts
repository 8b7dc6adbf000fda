import { order } from '../domain/order.ts';
import type { OrderState } from '../domain/order-state.ts';
import type { CommandHandler, Loaded } from '../eventstore/command.ts';
import { EventStoreError } from '../eventstore/errors.ts';
import type { Runtime } from '../eventstore/runtime.ts';

const FIRST_PAUSE_MS = 10;
const LONGEST_PAUSE_MS = 100;

/**
 * Looks at an order until its process has ended one way or the other.
 * @param waitMs how long at most
 * @param stopped asked after each look: the client has left, or the service stops
 * @returns the order, or undefined when it has not ended by then, or cannot be looked at: it is placed all the same
 */
export async function settledOrder(
  { handler, runtime }: { readonly handler: CommandHandler; readonly runtime: Runtime },
  orderId: string,
  waitMs: number,
  stopped: () => boolean,
): Promise<Loaded<OrderState> | undefined> {
  const end = runtime.now() + waitMs;
  for (let pause = FIRST_PAUSE_MS; !stopped(); pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
    const loaded = await lookAt(handler, orderId);
    if (loaded === undefined || hasEnded(loaded.state)) return loaded;
    const left = end - runtime.now();
    if (left <= 0) return undefined;
    await runtime.sleep(Math.min(pause, left));
  }
  return undefined;
}

function hasEnded({ status }: OrderState): boolean {
  return status !== 'absent' && status !== 'placed';
}

async function lookAt(handler: CommandHandler, orderId: string): Promise<Loaded<OrderState> | undefined> {
  try {
    return await handler.load(order, orderId);
  } catch (error) {
    if (error instanceof EventStoreError) return undefined;
    throw error;
  }
}
