import { type DescMessage, toJson } from '@bufbuild/protobuf';
import { Ajv } from 'ajv';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { payloadSchemaOf } from '../../../src/eventstore/codec/payload-schema.ts';
import { DecisionSchema } from '../../../src/gen/jetledger/eventstore/v1/commit_pb.ts';
import { aggregates } from '../../../src/service/shop.ts';
import { anyEventOf } from '../../../src/testing/properties.ts';

const schemas: DescMessage[] = [...aggregates.flatMap(({ events }) => events), DecisionSchema];

it.each(schemas.map((schema) => [schema.typeName, schema] as const))(
  'what %s is in JSON is what its schema says, and nothing else',
  (_name, schema) => {
    const isValid = new Ajv({ strict: false }).compile(payloadSchemaOf(schema));
    fc.assert(
      fc.property(anyEventOf({ category: 'any', events: [schema] }), (message) => {
        const json = toJson(schema, message);
        expect(isValid(json), JSON.stringify([json, isValid.errors])).toBe(true);
        expect(isValid({ ...(json as object), other: 1 })).toBe(false);
        for (const [key, value] of Object.entries(json as object))
          expect(isValid({ ...(json as object), [key]: typeof value === 'string' ? 1 : 'x' })).toBe(false);
      }),
      { numRuns: 50 },
    );
  },
);
