import type { Meter } from '@opentelemetry/api';
import { order } from '../../domain/order.ts';
import type { OrderEvent } from '../../domain/order-state.ts';
import { codecOf } from '../../eventstore/event-codec.ts';
import type { EngineObserver, Work } from '../engine/observer.ts';
import { boundedLabel } from './bounded.ts';

/** The provider's own codes are among them, and nobody knows how many it has. */
const MAX_CODES = 40;

/** Where an order stands after an event; undefined for events that are only steps on the way. */
interface Standing {
  readonly status: string;
  readonly step: string;
  readonly code: string;
}

/**
 * Counts orders by what they became, at the process that handled the event: once for each event, and again for one
 * whose handling was repeated after a crash or on a redrive.
 */
export function meterOrders(meter: Meter): EngineObserver {
  const orders = meter.createCounter('jetledger.orders', { description: 'Orders by what they became' });
  for (const status of ['placed', 'confirmed', 'rejected', 'expired', 'cancelled', 'shipped', 'delivered']) {
    orders.add(0, { status, step: '', code: '' });
  }
  const bounded = boundedLabel(MAX_CODES);
  return {
    outcome: ({ consumer, commit }, outcome) => {
      if (outcome !== 'handled' || consumer !== 'order-process') return;
      for (const { status, step, code } of standingsOf(commit)) {
        orders.add(1, { status, step, code: bounded(code) });
      }
    },
  };
}

function standingsOf(commit: Work['commit']): Standing[] {
  if (commit.stream.category !== order.category) return [];
  const { decode } = codecOf<OrderEvent>(order);
  return commit.decisions.flatMap(({ events }) =>
    events.flatMap((stored) => standingOf(decode(stored)) ?? []),
  );
}

function standingOf(event: OrderEvent): Standing | undefined {
  const plain = (status: string): Standing => ({ status, step: '', code: '' });
  switch (event.$typeName) {
    case 'jetledger.order.v1.OrderPlaced':
      return plain('placed');
    case 'jetledger.order.v1.OrderConfirmed':
      return plain('confirmed');
    case 'jetledger.order.v1.OrderCancelled':
      return plain('cancelled');
    case 'jetledger.order.v1.OrderShipped':
      return plain('shipped');
    case 'jetledger.order.v1.OrderDelivered':
      return plain('delivered');
    case 'jetledger.order.v1.OrderRejected': {
      const { step, code } = event;
      return { status: code === 'payment/expired' ? 'expired' : 'rejected', step, code };
    }
    default:
      return undefined;
  }
}
