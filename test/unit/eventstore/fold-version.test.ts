import { Int32ValueSchema, StringValueSchema, StructSchema } from '@bufbuild/protobuf/wkt';
import { describe, expect, it } from 'vitest';
import { foldVersionOf } from '../../../src/eventstore/fold.ts';
import { OrderLineSchema, OrderPlacedSchema } from '../../../src/gen/jetledger/order/v1/order_pb.ts';
import { counter } from '../../../src/testing/contracts/toy.ts';

const version = foldVersionOf(counter);

describe('the version of a fold', () => {
  it('is the same for the same fold, in every process', () => {
    expect(foldVersionOf({ ...counter })).toBe(version);
    expect(version).toMatch(/^[0-9a-f]{12}$/);
  });

  it('does not depend on what is decided', () => {
    const decider = { ...counter, decide: () => [] };
    expect(foldVersionOf(decider)).toBe(version);
  });

  it.each<[string, object]>([
    ['evolve', { evolve: (state: unknown) => state }],
    ['the initial state', { initial: { total: 1n, notes: [] } }],
    ['the events', { events: [Int32ValueSchema] }],
    ['the shape of an event', { events: [Int32ValueSchema, StructSchema] }],
    ['the revision', { foldRevision: 1 }],
    [
      'the upcasters',
      {
        upcasters: [
          {
            type: 'Int32Value',
            fromVersion: 1,
            upcast: (data: Uint8Array) => ({ type: 'Int32Value', data }),
          },
        ],
      },
    ],
  ])('changes with %s', (_, change) => {
    expect(foldVersionOf({ ...counter, ...change })).not.toBe(version);
  });

  it('changes with the shape of a message within an event', () => {
    const before = foldVersionOf({ ...counter, events: [OrderPlacedSchema] });
    const [first] = OrderLineSchema.fields;
    const line = { ...OrderLineSchema, fields: [first] };
    const fields = OrderPlacedSchema.fields.map((f) =>
      f.message === OrderLineSchema ? { ...f, message: line } : f,
    );
    const changed = { ...OrderPlacedSchema, fields } as typeof OrderPlacedSchema;
    expect(OrderPlacedSchema.fields.some((f) => f.message === OrderLineSchema)).toBe(true);
    expect(foldVersionOf({ ...counter, events: [changed] })).not.toBe(before);
  });

  it('ends for messages that contain themselves', () => {
    expect(foldVersionOf({ ...counter, events: [StructSchema, StringValueSchema] })).toHaveLength(12);
  });
});
