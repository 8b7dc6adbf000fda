import { create } from '@bufbuild/protobuf';
import { type Int64Value, Int64ValueSchema } from '@bufbuild/protobuf/wkt';
import type { PublicContract } from '../../src/processes/engine/index.ts';
import { type CounterEvent, counter } from '../../src/testing/contracts/toy.ts';

/** Of the toy aggregate other services may know what was added, and nothing of notes or of what is below zero. */
export const toyContract: PublicContract<CounterEvent, Int64Value> = {
  context: 'counters',
  version: 1,
  tells: 'what was added',
  source: counter,
  events: [Int64ValueSchema],
  toPublic: {
    'google.protobuf.Int32Value': ({ value }) =>
      value < 0 ? undefined : create(Int64ValueSchema, { value: BigInt(value) }),
    'google.protobuf.StringValue': 'private',
  },
};
