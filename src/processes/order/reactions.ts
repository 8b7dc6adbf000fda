import type { EventSource } from '../../eventstore/index.ts';
import type { Reaction } from '../engine/index.ts';
import type { RetrySettings } from './commands.ts';
import { createCustomerWatch, customerWatch } from './customer-watch.ts';
import type { OrderProcessDeps } from './effect-context.ts';
import { createEmailBackstop, emailBackstop } from './email-backstop.ts';
import { createOrderProcess, orderProcess } from './order-process.ts';
import type { OpenOrders } from './ports.ts';
import { createStockWatch, stockWatch } from './stock-watch.ts';

/** What a consumer is called and reads, for those who look at it from outside. */
export interface ReactionDescription {
  readonly name: string;
  readonly sources: readonly EventSource[];
}

/** Every consumer of the product. */
export const reactionDescriptions: readonly ReactionDescription[] = [
  orderProcess,
  stockWatch,
  customerWatch,
  emailBackstop,
];

export interface ReactionsDeps extends OrderProcessDeps {
  readonly openOrders: Pick<OpenOrders, 'ofUser'>;
  /** Age from which an e-mail claim may be taken over, in milliseconds. */
  readonly staleClaimMs: number;
}

/** The consumers of `consumerDescriptions`, with what they act on. */
export function createReactions(deps: ReactionsDeps, retries: Partial<RetrySettings> = {}): Reaction[] {
  return [
    createOrderProcess(deps, retries) as Reaction,
    createStockWatch(deps, retries) as Reaction,
    createCustomerWatch(deps, retries) as Reaction,
    createEmailBackstop(deps, retries) as Reaction,
  ];
}
