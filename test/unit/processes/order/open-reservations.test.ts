import { expect, it } from 'vitest';
import { type ProductCommand, product } from '../../../../src/domain/product.ts';
import { createHandler } from '../../../../src/eventstore/handler.ts';
import { causedByTimer } from '../../../../src/processes/engine/cause.ts';
import type { EffectContext } from '../../../../src/processes/order/effect-context.ts';
import { releaseStock, reserveStock } from '../../../../src/processes/order/steps.ts';
import { createMemoryLog } from '../../../../src/testing/memory-log.ts';
import { manualRuntime, mapStore, meta } from '../../eventstore/kernel.ts';

const [SKU, AT, OPEN] = ['TEA-1', 1_900_000_000_000, 5_200];

it('an order reserves and releases in a process that begins when thousands of reservations are open', async () => {
  const runtime = manualRuntime();
  const [log, store] = [createMemoryLog(), mapStore()];
  const snapshots = { store, onWrong: () => undefined };
  const start = () =>
    createHandler({ log, runtime, snapshots, settings: { queueLimit: OPEN, deadlineMs: 600_000 } });

  const before = start();
  const ask = (command: ProductCommand, id: string) => before.execute(product, SKU, command, meta(id));
  await ask({ type: 'list', sku: SKU, name: 'Tea', priceMinor: 1n, currency: 'EUR', at: AT }, 'list');
  await ask({ type: 'receiveStock', receiptId: 'r', quantity: OPEN + 2, at: AT }, 'receive');
  await Promise.all(
    Array.from({ length: OPEN }, (_, i) =>
      ask({ type: 'reserveStock', orderId: `o${i}`, quantity: 1, at: AT }, `c${i}`),
    ),
  );
  await before.close();

  const reports: string[] = [];
  const contextOf = (id: string): EffectContext => {
    const handler = start();
    return {
      ...{ id, handler, deps: { runtime } },
      cause: causedByTimer(handler, 'test', { kind: 'test', id, at: reports.length }),
      report: async (purpose: string) => void reports.push(purpose),
      reject: async (_purpose: string, _step: string, code: string) => void reports.push(code),
    } as unknown as EffectContext;
  };
  // Of several lines each is asked first whether it would be refused: that needs the order's section as well.
  const twice = [
    { sku: SKU, quantity: 1 },
    { sku: SKU, quantity: 1 },
  ];
  await reserveStock(twice, contextOf('new'));
  await reserveStock(twice, contextOf('o7'));
  await releaseStock([{ sku: SKU, quantity: 1 }], contextOf('o7'));
  await reserveStock([{ sku: SKU, quantity: 1 }], contextOf('o7'));
  expect(reports).toEqual(['reserve-stock', 'reserve-stock', 'release-stock', 'inventory/unavailable']);
  const { state } = await start().load(product, SKU);
  expect(state).toMatchObject({ reserved: BigInt(OPEN) });
});
