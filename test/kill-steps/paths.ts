import type { KnownOrder } from '../../src/domain/order.ts';
import type { Notification } from '../../src/processes/notification/port.ts';

/** One way for an order to go, from placing it to its end. */
export interface Path {
  /** First part of the ids of its orders. */
  readonly name: string;
  /** Test token of the simulated provider. */
  readonly token: string;
  readonly skus: readonly string[];
  /** From placing it until its payment is due, in milliseconds. */
  readonly dueInMs: number;
  readonly customer: 'registered' | 'unknown';
  /** What is asked for once it is confirmed; `write-off`: refunded, its goods gone; `send-back`: shipped, then refunded. */
  readonly later?: 'cancel' | 'ship' | 'deactivate' | 'write-off' | 'send-back';
  readonly end: KnownOrder['status'];
  readonly told: readonly Notification['kind'][];
}

/** A product that is never in stock. */
export const SOLD_OUT = 'NONE';
export const IN_STOCK = ['TEA', 'CUP'] as const;

const usual = {
  token: 'tok_success',
  skus: IN_STOCK,
  dueInMs: 600_000,
  customer: 'registered',
} as const;
const confirmed = ['order-confirmed'] as const;
const rejected = { end: 'rejected', told: ['order-rejected'] } as const;

/** Every step of the process and every compensation is on one of them. */
export const paths: readonly Path[] = [
  { ...usual, name: 'confirmed', end: 'confirmed', told: confirmed },
  { ...usual, name: 'refused', customer: 'unknown', ...rejected },
  { ...usual, name: 'soldout', skus: ['TEA', SOLD_OUT], ...rejected },
  { ...usual, name: 'declined', token: 'tok_declined', ...rejected },
  { ...usual, name: 'voided', token: 'tok_capture_declined', ...rejected },
  { ...usual, name: 'late', token: 'tok_never', dueInMs: 4_000, ...rejected },
  { ...usual, name: 'refunded', later: 'cancel', end: 'cancelled', told: confirmed },
  { ...usual, name: 'left', later: 'deactivate', end: 'cancelled', told: confirmed },
  { ...usual, name: 'shipped', later: 'ship', end: 'shipped', told: ['order-confirmed', 'order-shipped'] },
  {
    ...usual,
    name: 'writtenoff',
    later: 'write-off',
    end: 'refunded',
    told: ['order-confirmed', 'order-refunded'],
  },
  {
    ...usual,
    name: 'sentback',
    later: 'send-back',
    end: 'refunded',
    told: ['order-confirmed', 'order-shipped', 'order-refunded'],
  },
];
