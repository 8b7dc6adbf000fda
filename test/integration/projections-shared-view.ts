import { orders } from '../../src/projections/views/orders.ts';

/** The orders, shared out in sixteen groups. */
export const wideOrders = { ...orders, groups: 16 } as const;

/** An instance that is silent for so long is dead; a third of the default, to keep the test short. */
export const MEMBER_MS = 1_500;
