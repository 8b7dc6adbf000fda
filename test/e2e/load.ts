import { setTimeout as delay } from 'node:timers/promises';
import { type Answer, ask, must } from './client.ts';
import { PAYMENT, type Shop } from './shop.ts';

/** Orders that are placed again and again, each under a key of its own, until `stop`. */
export interface Load {
  /** Every answer so far. */
  all(): readonly Answer[];
  /** The answers to each order, by its key. */
  readonly answers: ReadonlyMap<string, readonly Answer[]>;
  /** What was not answered at all. */
  readonly unanswered: readonly unknown[];
  /** How many orders were accepted so far. */
  accepted(): number;
  /** Places the order of a key, again if it was placed before. */
  place(key: string): Promise<Answer>;
  stop(): Promise<void>;
}

/** Enough for every order of a test. */
const STOCK = { receiptId: 'receipt-load', quantity: 1_000_000 };

const BACK_OFF_MS = 100;

/** Gives a shop enough stock for a load. */
export async function stockUp(url: string, { sku }: Shop): Promise<void> {
  await must(200, url, 'POST', `/v1/products/${sku}/stock`, STOCK);
}

/**
 * Begins to place orders; each caller waits for its answer before it places the next one.
 * @param urlOf where the next request goes
 * @param paceMs how long a caller waits between two orders
 */
export function placeOrders(
  urlOf: () => string,
  { userId, sku }: Shop,
  { callers = 6, paceMs = 0 }: { readonly callers?: number; readonly paceMs?: number } = {},
): Load {
  const answers = new Map<string, Answer[]>();
  const unanswered: unknown[] = [];
  let stopped = false;
  const place = async (key: string): Promise<Answer> => {
    const body = { userId, lines: [{ sku, quantity: 1 }], payment: PAYMENT };
    const answer = await ask(urlOf(), 'POST', '/v1/orders', body, { 'idempotency-key': key });
    answers.set(key, [...(answers.get(key) ?? []), answer]);
    return answer;
  };
  const running = Array.from({ length: callers }, async (_, caller) => {
    for (let n = 1; !stopped; n++) {
      const answer = await place(`order-${caller}-${n}`).catch((error: unknown) => {
        unanswered.push(error);
        return undefined;
      });
      // A client that was told to come back later does not hammer.
      if (answer?.status !== 201) await delay(BACK_OFF_MS);
      else if (paceMs > 0) await delay(paceMs);
    }
  });
  const all = (): readonly Answer[] => [...answers.values()].flat();
  return {
    all,
    answers,
    unanswered,
    accepted: () => all().filter(({ status }) => status === 201).length,
    place,
    stop: async () => {
      stopped = true;
      await Promise.all(running);
    },
  };
}
