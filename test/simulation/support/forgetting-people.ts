import type { createUseCases } from '../../../src/app/create-use-cases.ts';
import { order } from '../../../src/domain/order.ts';
import { product } from '../../../src/domain/product.ts';
import { user } from '../../../src/domain/user.ts';
import { EventStoreError } from '../../../src/eventstore/errors.ts';
import type { CommandHandler } from '../../../src/eventstore/index.ts';
import type { Runtime } from '../../../src/eventstore/runtime.ts';
import type { World } from '../../../src/testing/world.ts';
import type { ForgettingScenario } from './forgetting-scenario.ts';
import { DEADLINE_MS } from './shop-scenario.ts';

/** The addresses that the person has, one after the other. */
export const [FIRST, SECOND] = ['ada.1@example.com', 'ada.2@example.com'];
/** Texts of the person that nobody may read once it is forgotten. */
export const OLD_TEXT = /Ada|Old Street|ada\.\d@/;
/** What was received of the only product. */
export const STOCK = { TEA: 3 };
/** For so long others want the addresses, in milliseconds. */
export const BUSY_MS = 60_000;

type Parts = (actor: string) => {
  readonly handler: CommandHandler;
  readonly runtime: Runtime;
  readonly useCases: ReturnType<typeof createUseCases>;
};

/** What the clients of a schedule do. */
export function peopleOf(world: World, partsOf: Parts, scenario: ForgettingScenario): () => Promise<unknown> {
  const { runtime } = partsOf('client');
  const sleep = (below: number) => runtime.sleep(world.random() * below);
  let calls = 0;

  /** Tries by one process after the other, under the same command id, until there is an answer. */
  async function insist(
    name: string,
    work: (
      parts: ReturnType<Parts>,
      meta: { commandId: string; actor: string },
    ) => Promise<{ outcome: string }>,
  ): Promise<string> {
    const meta = { commandId: `${name}.${++calls}`, actor: 'client' };
    for (;;) {
      const actor = `client.${++calls}`;
      const fate = await world.spawn(actor, async () => {
        try {
          return (await work(partsOf(actor), meta)).outcome;
        } catch (error) {
          if (!(error instanceof EventStoreError)) throw error;
          return error.retryable ? undefined : 'refused';
        }
      });
      if (!fate.crashed && fate.value !== undefined) return fate.value;
      await sleep(1_000);
    }
  }

  const at = () => runtime.now();
  const ask = () => insist('forget', ({ useCases }, meta) => useCases.requestForgetting('ada', 'r', meta));
  const callOff = () =>
    insist('off', ({ handler }, meta) =>
      handler.execute(user, 'ada', { type: 'callOffForgetting', at: at() }, meta),
    );

  async function live(planned: ForgettingScenario['orders'][number], index: number): Promise<void> {
    const id = `o${index}`;
    await runtime.sleep(planned.placeAt);
    await insist(id, ({ handler }, meta) => {
      const lines = [{ sku: 'TEA', name: 'Tea', quantity: 1, unitPriceMinor: 100n, currency: 'EUR' }];
      const deliveryAddress = { name: 'Ada', street: 'Old Street', city: 'C', country: 'GB' };
      const payment = { paymentToken: planned.token, paymentDueAt: at() + DEADLINE_MS };
      const placing = { orderId: id, userId: 'ada', lines, ...payment, details: { deliveryAddress } };
      return handler.execute(order, id, { type: 'place', ...placing, at: at() }, meta);
    });
    const later = async (after: number | undefined, command: Parameters<typeof order.decide>[0]) => {
      if (after === undefined) return;
      await runtime.sleep(after);
      await insist(command.type, ({ handler }, meta) => handler.execute(order, id, command, meta));
    };
    const { shipAt, refundAt, restock } = planned;
    await Promise.all([
      later(shipAt, { type: 'ship', tracking: '', at: at() }),
      later(refundAt, { type: 'refund', reason: 'Ada is gone', restock, at: at() }),
    ]);
  }

  async function wants(userId: string, email: string): Promise<void> {
    for (const until = at() + BUSY_MS; at() < until; ) {
      await sleep(6_000);
      const outcome = await insist(userId, ({ useCases }, meta) =>
        useCases.register({ userId, email, name: userId }, meta),
      );
      if (outcome === 'accepted') return;
    }
  }

  async function leave(): Promise<void> {
    const { askAt, callOffAfter, askAgainAfter } = scenario;
    await runtime.sleep(askAt);
    await ask();
    if (callOffAfter === undefined) return;
    await runtime.sleep(callOffAfter);
    await callOff();
    if (askAgainAfter === undefined) return;
    await runtime.sleep(askAgainAfter);
    await ask();
  }

  async function change(): Promise<void> {
    if (scenario.changeAt === undefined) return;
    await runtime.sleep(scenario.changeAt);
    await insist('change', ({ useCases }, meta) => useCases.changeEmail('ada', SECOND, meta));
  }

  return async () => {
    await insist('list', ({ handler }, meta) =>
      handler.execute(
        product,
        'TEA',
        { type: 'list', sku: 'TEA', name: 'T', priceMinor: 100n, currency: 'EUR', at: at() },
        meta,
      ),
    );
    await insist('stock', ({ handler }, meta) =>
      handler.execute(
        product,
        'TEA',
        { type: 'receiveStock', receiptId: 'r', quantity: STOCK.TEA, at: at() },
        meta,
      ),
    );
    await insist('register', ({ useCases }, meta) =>
      useCases.register({ userId: 'ada', email: FIRST, name: 'Ada' }, meta),
    );
    await Promise.all([
      leave(),
      change(),
      ...scenario.orders.map(live),
      wants('bob', FIRST),
      wants('carl', SECOND),
    ]);
  };
}
