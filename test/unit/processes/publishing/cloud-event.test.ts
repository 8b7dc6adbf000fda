import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import {
  OrderPaidSchema,
  OrderShippedSchema,
} from '../../../../src/gen/jetledger/public/orders/v1/orders_pb.ts';
import {
  cloudEventData,
  cloudEventHeaders,
  publicEventOf,
} from '../../../../src/processes/engine/publishing/cloud-event.ts';

const EVENT = {
  id: 'vWOd1XGtSOyz0O7T_qEWKu',
  source: '/jetledger/orders/v1',
  type: 'jetledger.public.orders.v1.OrderPaid',
  subject: 'order-1',
  sequence: 7,
  time: 1_700_000_000_123,
  traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
  tracestate: '',
  data: create(OrderPaidSchema, { orderId: 'order-1', amountMinor: 1_999n, currency: 'EUR', paidAt: 1n }),
};

const carried = (format: 'protobuf' | 'json') => ({
  headers: Object.fromEntries(cloudEventHeaders(EVENT, format).map(([name, value]) => [name, [value]])),
  data: cloudEventData(OrderPaidSchema, EVENT.data, format),
});

describe('a public event on NATS', () => {
  it('has the attributes of CloudEvents 1.0 in headers, which never change', () => {
    expect(carried('protobuf').headers).toEqual({
      'ce-specversion': ['1.0'],
      'ce-id': ['vWOd1XGtSOyz0O7T_qEWKu'],
      'ce-source': ['/jetledger/orders/v1'],
      'ce-type': ['jetledger.public.orders.v1.OrderPaid'],
      'ce-subject': ['order-1'],
      'ce-time': ['2023-11-14T22:13:20.123Z'],
      'ce-datacontenttype': ['application/protobuf'],
      'ce-sequence': ['000000000007'],
      'ce-traceparent': ['00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'],
      traceparent: ['00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'],
    });
  });

  it.each(['protobuf', 'json'] as const)('is read as it was written, as %s', (format) => {
    expect(publicEventOf(carried(format), [OrderPaidSchema])).toEqual(EVENT);
  });

  it('keeps what is no printable ASCII, percent-encoded as the binding says', () => {
    const headers = Object.fromEntries(
      cloudEventHeaders({ ...EVENT, subject: 'Zürich 100 % "x"' }, 'json').map(([name, value]) => [
        name,
        [value],
      ]),
    );
    expect(headers['ce-subject']).toEqual(['Z%C3%BCrich%20100%20%25%20%22x%22']);
    const { data } = carried('json');
    expect(publicEventOf({ headers, data }, [OrderPaidSchema])?.subject).toBe('Zürich 100 % "x"');
  });

  it('of a type that this build does not know is none, so that a newer contract stops nobody', () => {
    expect(publicEventOf(carried('json'), [OrderShippedSchema])).toBeUndefined();
  });

  it('with a field that this build does not know is read without it', () => {
    const { headers } = carried('json');
    const data = Buffer.from('{"orderId":"order-1","inFuture":{"a":1}}');
    expect(publicEventOf({ headers, data }, [OrderPaidSchema])?.data).toMatchObject({ orderId: 'order-1' });
  });

  it.each([
    ['no header', { headers: {}, data: new Uint8Array() }],
    [
      'a sequence that is none',
      { ...carried('json'), headers: { ...carried('json').headers, 'ce-sequence': ['x'] } },
    ],
    ['data of something else', { ...carried('json'), data: Buffer.from('[') }],
  ])('with %s is refused by name', (_, message) => {
    expect(() => publicEventOf(message, [OrderPaidSchema])).toThrow(
      expect.objectContaining({ code: 'public/unreadable' }),
    );
  });
});
