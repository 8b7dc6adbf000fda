import { setTimeout as delay } from 'node:timers/promises';
import { createUseCases } from '../../src/app/create-use-cases.ts';
import { createEmailKey } from '../../src/app/email-key.ts';
import { order } from '../../src/domain/order.ts';
import { product } from '../../src/domain/product.ts';
import { user } from '../../src/domain/user.ts';
import { webhook } from '../../src/domain/webhook.ts';
import type { CommandHandler } from '../../src/eventstore/command.ts';
import { EventStoreError } from '../../src/eventstore/errors.ts';
import { createHandler } from '../../src/eventstore/handler.ts';
import type { Log } from '../../src/eventstore/log.ts';
import { WITHOUT_KEYS } from '../../src/eventstore/personal/personal-data.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { createPrng } from '../../src/testing/world.ts';

/** The secret of the addresses in these tests. */
export const EMAIL_SECRET = new Uint8Array(32).fill(7);

/** Customers and clerks at work on one log. */
export interface Load extends AsyncDisposable {
  /** Commands that were accepted so far. */
  accepted(): number;
  /** Ends it; every command under way is answered first. */
  stop(): Promise<void>;
}

const WORKERS = 8;
const SKUS = Array.from({ length: 12 }, (_, n) => `SKU-${n}`);
const AWAY_MS = 50;

/**
 * Users, products and orders change through the domain's own commands, chosen by the seed. A server that is away is
 * waited out. Most orders are of two customers, so that their lists grow over several pages.
 */
export function startLoad(log: Log, seed: number): Load {
  const handler = createHandler({ log, runtime: systemRuntime });
  const emailKey = createEmailKey(EMAIL_SECRET);
  const settings = { staleClaimMs: 10_000, priceMaxAgeMs: 1_000 };
  const useCases = createUseCases({
    handler,
    log,
    runtime: systemRuntime,
    emailKey,
    personal: WITHOUT_KEYS,
    settings,
  });
  const users: string[] = [];
  const orders: string[] = [];
  let accepted = 0;
  let stopped = false;

  const work = async (worker: number): Promise<void> => {
    const random = createPrng(seed * 100 + worker);
    const below = (n: number) => Math.floor(random() * n);
    const pick = (of: readonly string[]) => of[below(of.length)] ?? '';
    const meta = () => ({ commandId: systemRuntime.id(), actor: 'test' });
    const clerk = clerkOf(handler, meta);
    const steps = [
      async () => {
        const userId = systemRuntime.id();
        const email = `${userId}@example.com`;
        const result = await useCases.register({ userId, email, name: `User ${below(1_000)}` }, meta());
        if (result.outcome === 'accepted') users.push(userId);
        return result;
      },
      () => useCases.changeEmail(pick(users), `${systemRuntime.id()}@example.com`, meta()),
      () => clerk.renameUser(pick(users), `User ${below(1_000)}`),
      () => clerk.toggleUser(pick(users), random() < 0.5),
      () => clerk.list(pick(SKUS), below(1_000) + 1),
      () => clerk.reprice(pick(SKUS), below(1_000) + 1),
      () => clerk.receive(pick(SKUS), systemRuntime.id(), below(100) + 1),
      () => clerk.cancel(pick(orders)),
      () => clerk.subscribe(systemRuntime.id()),
    ];
    const place = async () => {
      const userId = (random() < 0.8 ? users[below(2)] : pick(users)) || 'guest';
      const orderId = systemRuntime.id();
      const lines = [{ sku: pick(SKUS), quantity: below(5) + 1 }];
      const result = await useCases.placeOrder(
        { orderId, userId, lines, paymentToken: 'tok_success' },
        meta(),
      );
      if (result.outcome === 'accepted') orders.push(orderId);
      return result;
    };
    while (!stopped) {
      const step = random() < 0.6 ? place : steps[below(steps.length)];
      try {
        if ((await step?.())?.outcome === 'accepted') accepted++;
      } catch (error) {
        if (!(error instanceof EventStoreError)) throw error;
        await delay(AWAY_MS);
      }
    }
  };
  const working = Promise.all(Array.from({ length: WORKERS }, (_, worker) => work(worker)));
  const stop = async (): Promise<void> => {
    stopped = true;
    await working;
    await handler.close();
  };
  return { accepted: () => accepted, stop, [Symbol.asyncDispose]: stop };
}

function clerkOf(handler: CommandHandler, meta: () => { commandId: string; actor: string }) {
  const at = () => systemRuntime.now();
  return {
    renameUser: (id: string, name: string) =>
      handler.execute(user, id, { type: 'rename', name, at: at() }, meta()),
    toggleUser: (id: string, active: boolean) => {
      const command = active ? { type: 'reactivate' as const } : { type: 'deactivate' as const, reason: '' };
      return handler.execute(user, id, { ...command, at: at() }, meta());
    },
    list: (sku: string, price: number) => {
      const priced = { priceMinor: BigInt(price), currency: 'EUR' };
      const command = { type: 'list' as const, sku, name: sku, ...priced, at: at() };
      return handler.execute(product, sku, command, meta());
    },
    reprice: (sku: string, price: number) =>
      handler.execute(product, sku, { type: 'change', priceMinor: BigInt(price), at: at() }, meta()),
    receive: (sku: string, receiptId: string, quantity: number) => {
      const command = { type: 'receiveStock' as const, receiptId, quantity, at: at() };
      return handler.execute(product, sku, command, meta());
    },
    subscribe: (id: string) => {
      const wants = {
        url: 'https://example.com/hook',
        description: '',
        types: ['*'],
        subjects: [],
        ordered: false,
      };
      return handler.execute(
        webhook,
        id,
        { type: 'create', ...wants, webhookId: id, secretId: id, at: at() },
        meta(),
      );
    },
    cancel: (id: string) =>
      handler.execute(order, id, { type: 'cancel', reason: 'test', by: 'customer', at: at() }, meta()),
  };
}
