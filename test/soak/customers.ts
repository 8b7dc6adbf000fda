import { setTimeout as delay } from 'node:timers/promises';
import { at } from '../../src/cli/demo.ts';
import type { Client } from './client.ts';
import type { Plan } from './mix.ts';
import { BY_HAND } from './shipments.ts';

/** What customers were told. */
export interface Told {
  /** The ids of the orders that were placed. */
  readonly placed: Set<string>;
  /** The status that an order was answered to have for good: `cancelled`, `shipped`, or after that `refunded`. */
  readonly ended: Map<string, string>;
  /** Copies of a request that were sent beside the first. */
  copies: number;
  /** Answers that must not be, as sentences. */
  readonly wrong: string[];
}

export function nothingTold(): Told {
  return { placed: new Set(), ended: new Map(), copies: 0, wrong: [] };
}

/** Places an order, and cancels or ships it later as planned; what was answered goes into `told`. */
export async function act(client: Client, plan: Plan, told: Told): Promise<{ later: Promise<void> }> {
  const copies = Array.from({ length: plan.copies }, () =>
    client.send('POST', '/v1/orders', plan.body, plan.key),
  );
  const answers = await Promise.all(copies);
  told.copies += plan.copies - 1;
  const ids = new Set(answers.map(({ status, body }) => `${status} ${String(at(body, 'id'))}`));
  const [only = ''] = ids;
  if (ids.size > 1 || !only.startsWith('201 ')) {
    told.wrong.push(
      `${plan.key} was answered ${[...ids].join(' and ')}: ${JSON.stringify(answers[0]?.body)}`,
    );
    return { later: Promise.resolve() };
  }
  const id = only.slice('201 '.length);
  told.placed.add(id);
  return { later: afterwards(client, id, plan, told) };
}

async function afterwards(client: Client, id: string, plan: Plan, told: Told): Promise<void> {
  const ask = async (verb: keyof typeof ENDS, after: number | undefined, asked = {}): Promise<void> => {
    if (after === undefined) return;
    await delay(after);
    const path = `/v1/orders/${id}/${verb}`;
    const { status, body } = await client.send('POST', path, asked, `${plan.key}-${verb}`);
    // The answer to an earlier request may come last.
    if (status === 200 && told.ended.get(id) !== ENDS.refund) told.ended.set(id, ENDS[verb]);
    else if (status !== 200 && status !== 409)
      told.wrong.push(`${verb} of ${id} was answered ${status} ${JSON.stringify(body)}`);
  };
  const refund = { reason: 'The parcel was lost', restock: plan.restock };
  await Promise.all([
    ask('cancel', plan.cancelAfter),
    ask('ship', plan.shipAfter, { tracking: BY_HAND }),
    ask('refund', plan.refundAfter, refund),
  ]);
}

const ENDS = { cancel: 'cancelled', ship: 'shipped', refund: 'refunded' } as const;
