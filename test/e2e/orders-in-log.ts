import { type OrderEvent, order } from '../../src/domain/order.ts';
import { codecOf } from '../../src/eventstore/codec/event-codec.ts';
import { BEGINNING } from '../../src/eventstore/position.ts';
import { openTestLog } from '../support/nats-log.ts';

/** How often each order was placed, as the log says. */
export async function ordersInLog(natsUrl: string): Promise<Map<string, number>> {
  await using opened = await openTestLog(natsUrl);
  const codec = codecOf<OrderEvent>(order);
  const placed = new Map<string, number>();
  for await (const { commits } of opened.log.scan({
    after: BEGINNING,
    filter: { category: order.category },
  })) {
    for (const { stream, decisions } of commits) {
      const events = decisions.flatMap((decision) =>
        decision.events.map((stored) => codec.decode(stored, stream.id)),
      );
      const count = events.filter(({ $typeName }) => $typeName === 'jetledger.order.v1.OrderPlaced').length;
      placed.set(stream.id, (placed.get(stream.id) ?? 0) + count);
    }
  }
  return placed;
}
