import { create, type DescMessage, type MessageShape, toBinary } from '@bufbuild/protobuf';
import { Int32ValueSchema } from '@bufbuild/protobuf/wkt';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encoderOf } from '../../../src/eventstore/codec/event-encoder.ts';
import { CommitSchema } from '../../../src/gen/jetledger/eventstore/v1/commit_pb.ts';
import {
  OrderConfirmedSchema,
  OrderPlacedSchema,
  OrderRejectedSchema,
} from '../../../src/gen/jetledger/order/v1/order_pb.ts';

const RUNS = { numRuns: 300 };
const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ unit: 'grapheme', maxLength: 300 }),
  fc.integer({ min: 100, max: 9_000 }).map((length) => 'é'.repeat(length)),
);
/** What JavaScript can hold and Unicode has no character for. */
const halves = fc.constantFrom('\ud800', 'a\udc00b', '\udfff\ud800');
const amount = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 53n - 1n }),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.constantFrom(0n, 1n, 127n, 128n, 2n ** 53n, -1n),
);
const line = fc.record({
  sku: text,
  name: fc.oneof(text, halves),
  quantity: amount,
  unitPriceMinor: amount,
  lineTotalMinor: amount,
});
const placed = fc.record({
  orderId: text,
  userId: text,
  lines: fc.array(line, { maxLength: 5 }),
  currency: text,
  totalMinor: amount,
  placedAt: amount,
  paymentToken: text,
  paymentDueAt: amount,
});

describe('an event that is written without reflection', () => {
  it('has the bytes that the protobuf runtime gives it, or is refused where those would not come back', () => {
    const encode = encoderOf(OrderPlacedSchema);
    fc.assert(
      fc.property(placed, (given) => same(OrderPlacedSchema, encode, create(OrderPlacedSchema, given))),
      RUNS,
    );
  });

  it('may be larger than the room that it is written in', () => {
    const encode = encoderOf(OrderPlacedSchema);
    const lines = Array.from({ length: 100 }, (_, n) => ({ sku: `SKU-${n}`, name: 'ä'.repeat(700) }));
    same(OrderPlacedSchema, encode, create(OrderPlacedSchema, { lines }));
  });

  it('keeps fields that this version does not know', () => {
    const event = create(OrderConfirmedSchema, { confirmedAt: 5n });
    event.$unknown = [{ no: 12, wireType: 0, data: Uint8Array.of(5) }];
    same(OrderConfirmedSchema, encoderOf(OrderConfirmedSchema), event);
  });

  it.each([
    ['optional and other fields', OrderRejectedSchema, create(OrderRejectedSchema, { reason: 'no' })],
    ['negative numbers', Int32ValueSchema, create(Int32ValueSchema, { value: -7 })],
    ['messages in messages', CommitSchema, create(CommitSchema, { commitId: 'c', decisions: [{}] })],
  ])('is left to the runtime where it holds what is not known here: %s', (_, schema: DescMessage, event) => {
    same(schema, encoderOf(schema), event);
  });

  it('is refused with its field where the runtime refuses it', () => {
    const event = create(OrderPlacedSchema, { totalMinor: 2n ** 70n });
    expect(() => encoderOf(OrderPlacedSchema)(event)).toThrow('OrderPlaced cannot be stored');
    const wrong = Object.assign(create(OrderPlacedSchema), { userId: 7 });
    same(OrderPlacedSchema, encoderOf(OrderPlacedSchema), wrong);
  });
});

const holdsHalves = (value: unknown): boolean =>
  typeof value === 'string'
    ? !value.isWellFormed()
    : typeof value === 'object' && value !== null && Object.values(value).some(holdsHalves);

function same<Desc extends DescMessage>(
  schema: Desc,
  encode: (message: MessageShape<Desc>) => Uint8Array,
  message: MessageShape<Desc>,
): void {
  // As text, since comparing large buffers byte by byte takes most of the test's time.
  if (holdsHalves(message)) {
    expect(() => encode(message)).toThrow('half of a surrogate pair');
    return;
  }
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
  expect(hex(encode(message))).toBe(hex(toBinary(schema, message)));
}
