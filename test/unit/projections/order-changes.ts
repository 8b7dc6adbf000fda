import { type OrderEvent, order } from '../../../src/domain/order.ts';
import type { Projection } from '../../../src/projections/engine/projection.ts';

/** How often an order was changed, by its id. */
export interface ChangesRow {
  readonly id: string;
  readonly changes: number;
}

export const orderChanges: Projection<ChangesRow, OrderEvent> = {
  name: 'order_changes',
  version: 1,
  sources: [order],
  crossesAggregates: false,
  keyOf: (_event, { stream }) => stream.id,
  evolve: (row, _event, { stream }) => ({ id: stream.id, changes: (row?.changes ?? 0) + 1 }),
  schema: {
    type: 'object',
    required: ['id', 'changes'],
    additionalProperties: false,
    properties: { id: { type: 'string' }, changes: { type: 'integer' } },
  },
};
