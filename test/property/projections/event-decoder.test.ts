import { create, type DescMessage, fromBinary, type Message, ScalarType, toBinary } from '@bufbuild/protobuf';
import { reflect } from '@bufbuild/protobuf/reflect';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { email } from '../../../src/domain/email.ts';
import { order } from '../../../src/domain/order.ts';
import { product } from '../../../src/domain/product.ts';
import { user } from '../../../src/domain/user.ts';
import { decoderOf } from '../../../src/eventstore/codec/event-decoder.ts';
import { CommitSchema } from '../../../src/gen/jetledger/eventstore/v1/commit_pb.ts';

const schemas: readonly DescMessage[] = [
  CommitSchema,
  ...user.events,
  ...email.events,
  ...product.events,
  ...order.events,
];

/** Texts that are plain, of two to four bytes a letter, or hold what a decoder may strip. */
const texts = fc.oneof(
  fc.string(),
  fc.string({ unit: 'grapheme' }),
  fc.constantFrom('\ufeffmark', 'Käse', '\u0000'),
);
const long = fc.oneof(
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.bigInt({ min: 0n, max: 2n ** 53n + 2n }),
);

function scalar(type: ScalarType): fc.Arbitrary<unknown> {
  switch (type) {
    case ScalarType.STRING:
      return texts;
    case ScalarType.BOOL:
      return fc.boolean();
    case ScalarType.BYTES:
      return fc.uint8Array({ maxLength: 40 });
    case ScalarType.INT64:
      return long;
    case ScalarType.UINT32:
      return fc.nat(0xffff_ffff);
    default:
      throw new Error(`no values for the scalar ${ScalarType[type]}`);
  }
}

/** Any message of a schema; a field is left out now and then. */
function messages(schema: DescMessage): fc.Arbitrary<Message> {
  const fields = schema.fields.map((field) => {
    if (field.fieldKind === 'scalar') return scalar(field.scalar);
    if (field.fieldKind === 'message') return messages(field.message);
    if (field.fieldKind !== 'list' || field.listKind !== 'message')
      throw new Error(`no values for ${field.name}`);
    return fc.array(messages(field.message), { maxLength: 3 });
  });
  const values = fc.tuple(...fields.map((field) => fc.option(field, { nil: undefined, freq: 4 })));
  return values.map((all) => {
    const init = schema.fields.map((field, i) => [field.localName, all[i]] as const);
    return create(schema, Object.fromEntries(init.filter(([, value]) => value !== undefined)));
  });
}

const anyMessage = fc
  .constantFrom(...schemas)
  .chain((schema) => messages(schema).map((message) => ({ schema, message })));

function outcome(decode: () => Message): unknown {
  try {
    return { decoded: decode() };
  } catch {
    return 'refused';
  }
}

test('the lean decoder makes of every commit and every event exactly what the generated code makes of it', () => {
  fc.assert(
    fc.property(anyMessage, fc.nat(9), ({ schema, message }, before) => {
      const bytes = toBinary(schema, message);
      // As it comes from a socket: somewhere within a larger piece of memory.
      const memory = Buffer.alloc(bytes.length + before + 5, 0xff);
      memory.set(bytes, before);
      const lean = decoderOf(schema)(memory.subarray(before, before + bytes.length));
      expect(lean).toEqual(fromBinary(schema, bytes));
      // Usable as any message is.
      expect(reflect(schema, lean).message.$typeName).toBe(schema.typeName);
    }),
    { numRuns: 1_000 },
  );
});

test('bytes that were cut, changed, repeated or lengthened come out as the generated code has them, or are refused as there', () => {
  const change = fc.record({ at: fc.nat(400), to: fc.nat(255), cut: fc.nat(400), twice: fc.boolean() });
  fc.assert(
    fc.property(anyMessage, change, fc.uint8Array({ maxLength: 8 }), ({ schema, message }, edit, more) => {
      const whole = toBinary(schema, message);
      const bytes = Uint8Array.from([...whole, ...(edit.twice ? whole : []), ...more]);
      if (edit.at < bytes.length) bytes[edit.at] = edit.to;
      const part = edit.cut < bytes.length && edit.cut > 0 ? bytes.subarray(0, edit.cut) : bytes;
      const lean = outcome(() => decoderOf(schema)(part));
      expect(lean).toEqual(outcome(() => fromBinary(schema, part)));
    }),
    { numRuns: 2_000 },
  );
});
