import { expect, it } from 'vitest';
import { type OrderCommand, order } from '../../src/domain/order.ts';
import { type ProductCommand, product } from '../../src/domain/product.ts';
import { createHandler } from '../../src/eventstore/handler.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import type { LedgerEntry } from '../../src/processes/payment/adapters/ledger.ts';
import { createMemoryLog } from '../../src/testing/memory-log.ts';
import { inspectOrders } from '../support/order-invariants.ts';

const NOW = Date.UTC(2030, 0, 1);
const MONEY = { paymentId: 'p1', amountMinor: 900n, currency: 'EUR' };
const PAID: LedgerEntry = {
  key: 'o1',
  paymentId: 'p1',
  attempts: 1,
  intent: { amountMinor: 900n, currency: 'EUR', token: 'tok_success' },
  authorisedAt: NOW,
  capturedAt: NOW,
};

type Untimed<Command> = Command extends unknown ? Omit<Command, 'at'> : never;

/** A confirmed order of two pieces, and what else happens to it and to its product. */
async function booksOf(
  entries: readonly LedgerEntry[],
  more: { order?: Untimed<OrderCommand>[]; tea?: Untimed<ProductCommand>[]; reserved?: number } = {},
) {
  const log = createMemoryLog();
  const handler = createHandler({ log, runtime: systemRuntime });
  let commands = 0;
  const meta = () => ({ commandId: `c${++commands}`, actor: 'test' });
  const line = { sku: 'TEA', name: 'Tea', quantity: 2, unitPriceMinor: 450n, currency: 'EUR' };
  const placed = {
    orderId: 'o1',
    userId: 'u1',
    lines: [line],
    paymentToken: 'tok_success',
    paymentDueAt: NOW,
  };
  const onTea: Untimed<ProductCommand>[] = [
    { type: 'list', sku: 'TEA', name: 'Tea', priceMinor: 450n, currency: 'EUR' },
    { type: 'receiveStock', receiptId: 'r1', quantity: 10 },
    { type: 'reserveStock', orderId: 'o1', quantity: more.reserved ?? 2 },
    ...(more.tea ?? []),
  ];
  const onOrder: Untimed<OrderCommand>[] = [
    { type: 'place', ...placed },
    { type: 'recordCustomerValidated', directoryPosition: 1 },
    { type: 'recordStockReserved' },
    { type: 'recordAuthorised', ...MONEY },
    { type: 'recordCaptured', ...MONEY },
    ...(more.order ?? []),
  ];
  // Spreading forgets which member of the union it was; only the time was missing.
  for (const command of onTea)
    await handler.execute(product, 'TEA', { ...command, at: NOW } as ProductCommand, meta());
  for (const command of onOrder)
    await handler.execute(order, 'o1', { ...command, at: NOW } as OrderCommand, meta());
  const ledger = async function* () {
    yield* entries;
  };
  const { open, violations } = await inspectOrders(log, ledger());
  return { open, violations };
}

const cancelled: Untimed<OrderCommand> = { type: 'cancel', reason: '', by: 'customer' };
const refunded: Untimed<OrderCommand> = { type: 'recordPaymentRefunded', ...MONEY };

it('the books of an order that was paid and reserved agree', async () => {
  expect(await booksOf([PAID])).toEqual({ open: [], violations: [] });
});

it('money that the provider did not take, or took for no order, is told', async () => {
  expect((await booksOf([])).violations).toEqual(['o1 is confirmed and the provider keeps 0 of 900']);
  const other = { ...PAID, key: 'o2' };
  expect((await booksOf([PAID, other])).violations).toEqual(['o2 was paid and is no order']);
});

it('a cancelled order is open until all is given back, and then nothing of it may be kept, held or coming', async () => {
  const released: Untimed<ProductCommand>[] = [{ type: 'releaseStock', orderId: 'o1' }];
  const back = { tea: released, order: [cancelled, refunded, { type: 'recordStockReleased' as const }] };
  expect((await booksOf([PAID], { tea: released, order: [cancelled] })).open).toEqual([
    'o1 is cancelled, its stock not released',
    'o1 is cancelled, its payment not returned',
  ]);
  expect(await booksOf([{ ...PAID, refundedAt: NOW }], back)).toEqual({ open: [], violations: [] });
  const kept = ['o1 is cancelled and the provider keeps 900 of 900'];
  expect((await booksOf([PAID], back)).violations).toEqual(kept);
  const held = ['o1 is cancelled and the provider holds 900'];
  const { capturedAt: _taken, ...authorised } = PAID;
  expect((await booksOf([authorised], back)).violations).toEqual(held);
  const { authorisedAt: _done, ...asked } = authorised;
  expect((await booksOf([{ ...asked, authorisesAt: NOW }], back)).violations).toEqual(held);
});

it('stock that is reserved for nobody, or not enough, is told', async () => {
  const stray: Untimed<ProductCommand>[] = [{ type: 'reserveStock', orderId: 'o2', quantity: 1 }];
  expect((await booksOf([PAID], { tea: stray })).violations).toEqual([
    '3 of TEA are reserved and orders hold 2',
  ]);
  expect((await booksOf([PAID], { reserved: 1 })).violations).toEqual([
    'o1 is confirmed and 1 of TEA are reserved for it',
  ]);
  const lost: Untimed<OrderCommand>[] = [{ type: 'ship', tracking: '' }];
  expect((await booksOf([PAID], { order: lost })).violations).toEqual([
    'o1 is shipped and 2 of TEA are reserved for it',
    '10 of TEA are on hand and 8 should be',
  ]);
});
