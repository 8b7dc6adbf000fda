import {
  create,
  createFileRegistry,
  type DescMessage,
  fromBinary,
  setExtension,
  toBinary,
} from '@bufbuild/protobuf';
import {
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FieldOptionsSchema,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from '@bufbuild/protobuf/wkt';
import { describe, expect, it } from 'vitest';
import { order } from '../../../src/domain/order.ts';
import { user } from '../../../src/domain/user.ts';
import { codecOf, createEventCodec } from '../../../src/eventstore/codec/event-codec.ts';
import { encoderOf } from '../../../src/eventstore/codec/event-encoder.ts';
import { openText, type Place, sealText } from '../../../src/eventstore/personal/cipher.ts';
import { mayHoldSealed } from '../../../src/eventstore/personal/personal-data.ts';
import {
  isSealed,
  mapSealed,
  readSealed,
  writeSealed,
} from '../../../src/eventstore/personal/sealed-text.ts';
import { SealedTextSchema } from '../../../src/gen/jetledger/eventstore/v1/sealed_text_pb.ts';
import { PersonalSchema, personal } from '../../../src/gen/jetledger/options/v1/personal_pb.ts';
import { OrderPlacedSchema } from '../../../src/gen/jetledger/order/v1/order_pb.ts';
import { UserCreatedSchema, UserRenamedSchema } from '../../../src/gen/jetledger/user/v1/user_pb.ts';

const KEY = new Uint8Array(32).fill(3);
const keys = { get: () => ({ number: 7, key: KEY, until: Number.POSITIVE_INFINITY }) };
const place: Place = {
  category: 'user',
  id: 'u1',
  type: 'UserCreated',
  field: 2,
  within: '',
  person: 'u1',
  key: 7,
};
const created = create(UserCreatedSchema, {
  userId: 'u1',
  email: 'ada@example.com',
  name: 'Ada Käse',
  createdAt: 5n,
});

describe('a sealed text', () => {
  it('opens at its place, with its key', () => {
    expect(openText(place, KEY, sealText(place, KEY, 'Ada Käse'))).toBe('Ada Käse');
  });

  it('is another one each time', () => {
    expect(sealText(place, KEY, 'Ada')).not.toEqual(sealText(place, KEY, 'Ada'));
  });

  it.each([
    { category: 'order' },
    { id: 'u2' },
    { type: 'UserRenamed' },
    { field: 4 },
    { within: '0.2' },
    { person: 'u2' },
    { key: 8 },
  ] satisfies Partial<Place>[])('does not open elsewhere: %o', (other) => {
    const sealed = sealText(place, KEY, 'Ada');
    expect(() => openText({ ...place, ...other }, KEY, sealed)).toThrow(
      expect.objectContaining({ code: 'personal/refused' }),
    );
  });

  it('does not open when a bit of it was changed, or with another key', () => {
    const sealed = sealText(place, KEY, 'Ada');
    for (let at = 0; at < sealed.length; at++) {
      const bent = sealed.slice();
      bent[at] = (bent[at] ?? 0) ^ 1;
      expect(() => openText(place, KEY, bent), `byte ${at}`).toThrow('moved or changed');
    }
    expect(() => openText(place, KEY, sealed.subarray(0, 20))).toThrow('moved or changed');
    expect(() => openText(place, new Uint8Array(32), sealed)).toThrow('moved or changed');
  });

  it('travels as an ordinary text, and is found wherever it is in plain data', () => {
    const sealed = writeSealed(place, sealText(place, KEY, 'Ada'));
    expect(isSealed(sealed)).toBe(true);
    expect(JSON.parse(JSON.stringify(sealed))).toBe(sealed);
    expect(readSealed(sealed)).toMatchObject(place);
    const map = new Map([['k', { deep: [sealed] }]]);
    const data = { a: 1, b: [sealed, 'x', null], c: map, d: new Set([sealed]), e: new Uint8Array(2) };
    const opened = mapSealed(data, () => 'Ada');
    expect(opened).toEqual({
      ...data,
      b: ['Ada', 'x', null],
      c: new Map([['k', { deep: ['Ada'] }]]),
      d: new Set(['Ada']),
    });
    const plain = { a: ['x'], b: new Map([['k', {}]]), c: new Set(['y']) };
    expect(mapSealed(plain, () => 'never')).toBe(plain);
  });

  it('that was cut is an error and not a text', () => {
    const sealed = writeSealed(place, sealText(place, KEY, 'Ada'));
    for (const cut of [sealed.slice(0, 1), sealed.slice(0, 20), `${sealed.slice(0, 1)}!!`])
      expect(() => readSealed(cut)).toThrow(expect.objectContaining({ code: 'personal/damaged' }));
  });
});

describe('an event with personal texts', () => {
  const codec = codecOf(user);
  const sealed = codec.encode(created, { id: 'u1', keys });

  it('is stored without them, and says how they are sealed', () => {
    const bytes = Buffer.from(sealed.data).toString('latin1');
    expect(bytes).not.toMatch(/ada|K.se/i);
    expect(fromBinary(UserCreatedSchema, sealed.data)).toEqual({ ...created, email: '', name: '' });
    expect(sealed.encryption).toMatchObject({ algorithm: 'fields-v1' });
    expect(sealed.sealed.map(({ field, person, key }) => [field, person, key])).toEqual([
      [2, '', 7],
      [4, '', 7],
    ]);
  });

  it('is read with sealed texts in their fields', () => {
    const event = codec.decode(sealed, 'u1');
    expect(event).toMatchObject({ userId: 'u1', createdAt: 5n });
    const opened = mapSealed(event, (text) => {
      const { sealed: bytes, ...at } = readSealed(text);
      return openText(at, KEY, bytes);
    });
    expect(opened).toEqual(created);
  });

  it('does not open after it was put into another aggregate, or its texts changed places', () => {
    const open = (text: string) => {
      const { sealed: bytes, ...at } = readSealed(text);
      return openText(at, KEY, bytes);
    };
    expect(() => mapSealed(codec.decode(sealed, 'u2'), open)).toThrow('user/u2');
    const [email, name] = sealed.sealed;
    if (email === undefined || name === undefined) throw new Error('two are sealed');
    const swapped = [
      { ...email, field: 4 },
      { ...name, field: 2 },
    ];
    expect(() => mapSealed(codec.decode({ ...sealed, sealed: swapped }, 'u1'), open)).toThrow('moved');
    const other = { ...sealed, type: 'EmailChangeStarted', sealed: [email] };
    expect(() => mapSealed(codec.decode(other, 'u1'), open)).toThrow('EmailChangeStarted');
  });

  it('may hold them in a list of messages, each sealed for its place there', () => {
    const orders = codecOf(order);
    const $typeName = 'jetledger.order.v1.MetadataPair';
    const pairs = ['for Ada', 'red', 'Käse'].map((value, n) => ({ $typeName, key: `k${n}`, value }) as const);
    const placed = create(OrderPlacedSchema, {
      orderId: 'o1',
      userId: 'u1',
      deliveryName: 'Ada',
      deliveryCountry: 'DE',
      metadata: { pairs },
      placedAt: 5n,
    });
    expect(orders.persons(placed, 'o1')).toEqual(['u1', 'u1', 'u1', 'u1']);
    const stored = orders.encode(placed, { id: 'o1', keys });
    expect(Buffer.from(stored.data).toString('latin1')).not.toMatch(/Ada|red|K.se/);
    expect(stored.sealed.map(({ field, within }) => [field, within])).toEqual([
      [10, ''],
      [15, '0.1.0.2'],
      [15, '0.1.1.2'],
      [15, '0.1.2.2'],
    ]);
    const open = (text: string) => {
      const { sealed: bytes, ...at } = readSealed(text);
      return openText(at, KEY, bytes);
    };
    expect(mapSealed(orders.decode(stored, 'o1'), open)).toEqual(placed);
    const [name, first, second, third] = stored.sealed;
    if (!name || !first || !second || !third) throw new Error('four are sealed');
    const swapped = [name, { ...first, within: second.within }, { ...second, within: first.within }, third];
    expect(() => mapSealed(orders.decode({ ...stored, sealed: swapped }, 'o1'), open)).toThrow('moved');
    const nowhere = [{ ...first, within: '0.1.3.2' }];
    expect(() => orders.decode({ ...stored, sealed: nowhere }, 'o1')).toThrow(
      expect.objectContaining({ code: 'event/corrupt' }),
    );
  });

  it('is stored in plain without keys, and that is read as ever', () => {
    const plain = codec.encode(created);
    expect(plain).toMatchObject({ sealed: [] });
    expect(plain.encryption).toBeUndefined();
    expect(codec.decode(plain)).toEqual(created);
  });

  it('keeps an empty text, which says nothing, and names nobody for it', () => {
    const nameless = create(UserRenamedSchema, { name: '', renamedAt: 1n });
    expect(codec.persons(nameless, 'u1')).toEqual([]);
    expect(codec.encode(nameless, { id: 'u1', keys })).toMatchObject({ sealed: [] });
  });

  it('is refused when it names nobody, in the aggregate of a person who was forgotten, and when a text pretends to be sealed', () => {
    const refused = (code: string) => expect.objectContaining({ code });
    const nobody = create(UserCreatedSchema, { email: 'a@b.cd' });
    expect(() => codec.encode(nobody, { id: 'u1', keys })).toThrow(refused('event/invalid'));
    const forgotten = { get: () => 'forgotten' as const };
    expect(() => codec.encode(created, { id: 'u1', keys: forgotten })).toThrow(refused('person/forgotten'));
    const elsewhere = codec.encode(created, { id: 'another', keys: forgotten });
    expect(elsewhere.sealed).toEqual([]);
    expect(codec.decode(elsewhere, 'another')).toMatchObject({ userId: created.userId, name: '', email: '' });
    const pretending = create(UserCreatedSchema, { userId: '\u0001abc' });
    for (const seal of [undefined, { id: 'u1', keys }])
      expect(() => codec.encode(pretending, seal)).toThrow(refused('event/invalid'));
  });

  it('is not read without the aggregate that it is of, nor when it is encrypted in another way', () => {
    expect(() => codec.decode(sealed)).toThrow('say of which aggregate');
    for (const encryption of [undefined, { algorithm: 'fields-v2' }])
      expect(() => codec.decode({ ...sealed, encryption }, 'u1')).toThrow(
        expect.objectContaining({ code: 'event/encrypted' }),
      );
  });
});

interface FieldInit {
  readonly name: string;
  readonly type?: FieldDescriptorProto_Type;
  readonly isList?: boolean;
  readonly subject?: string;
  readonly typeName?: string;
  readonly isInOneof?: boolean;
}

/** A proto with one event and a message within it. */
function eventOf(fields: readonly FieldInit[], inner: readonly FieldInit[] = []): DescMessage {
  const describe = ({ name, type, isList, subject, typeName, isInOneof }: FieldInit, index: number) => {
    const options = create(FieldOptionsSchema);
    if (subject !== undefined) setExtension(options, personal, create(PersonalSchema, { subject }));
    return {
      name,
      jsonName: name,
      number: index + 1,
      type: type ?? FieldDescriptorProto_Type.STRING,
      label: isList ? FieldDescriptorProto_Label.REPEATED : FieldDescriptorProto_Label.OPTIONAL,
      ...(typeName !== undefined && { typeName }),
      ...(isInOneof && { oneofIndex: 0 }),
      options,
    };
  };
  const hasOneof = fields.some(({ isInOneof }) => isInOneof);
  const file = create(FileDescriptorProtoSchema, {
    name: 'toy.proto',
    package: 'toy',
    syntax: 'proto3',
    messageType: [
      { name: 'Noted', field: fields.map(describe), oneofDecl: hasOneof ? [{ name: 'either' }] : [] },
      { name: 'Inner', field: inner.map(describe) },
    ],
  });
  const set = create(FileDescriptorSetSchema, { file: [file] });
  const registry = createFileRegistry(
    fromBinary(FileDescriptorSetSchema, toBinary(FileDescriptorSetSchema, set)),
  );
  const message = registry.getMessage('toy.Noted');
  if (message === undefined) throw new Error('the toy has no event');
  return message;
}

const HOLDS = { name: 'in', type: FieldDescriptorProto_Type.MESSAGE, typeName: '.toy.Inner' } as const;

describe('a mark', () => {
  const refusal = (event: DescMessage) => () => createEventCodec({ category: 'toy', events: [event] });

  it('names the aggregate, or a text that says whose the field is; two persons may be in one event', () => {
    const event = eventOf([{ name: 'a', subject: '@id' }, { name: 'b', subject: 'who' }, { name: 'who' }]);
    const codec = createEventCodec({ category: 'toy', events: [event] });
    expect(codec.personal).toBe(true);
    const noted = create(event, { a: 'x', b: 'y', who: 'p2' } as never);
    expect(codec.persons(noted, 'id1')).toEqual(['id1', 'p2']);
  });

  it('on anything but a single text is refused at the start, with the field', () => {
    const invalid = (part: string) =>
      expect.objectContaining({ code: 'event/invalid-mark', message: expect.stringContaining(part) });
    const number = FieldDescriptorProto_Type.INT64;
    expect(refusal(eventOf([{ name: 'age', type: number, subject: '@id' }]))).toThrow(invalid('Noted.age'));
    expect(refusal(eventOf([{ name: 'names', isList: true, subject: '@id' }]))).toThrow(
      invalid('Noted.names'),
    );
    expect(refusal(eventOf([{ name: 'a', subject: 'nobody' }]))).toThrow(invalid('"nobody"'));
    expect(refusal(eventOf([{ name: 'a', subject: '' }]))).toThrow(invalid('Noted.a'));
    expect(
      refusal(
        eventOf([
          { name: 'a', subject: 'b' },
          { name: 'b', subject: '@id' },
        ]),
      ),
    ).toThrow(invalid('Noted.a'));
    const deep: FieldInit[] = [{ name: 'deep', subject: '@id' }];
    expect(refusal(eventOf([{ ...HOLDS, isInOneof: true }], deep))).toThrow(invalid('Noted.in'));
    expect(refusal(eventOf([HOLDS], [...deep, HOLDS]))).toThrow(invalid('Inner.in'));
    expect(refusal(eventOf([HOLDS, { name: 'who' }], [{ name: 'deep', subject: 'whose' }]))).toThrow(
      invalid('Inner.deep'),
    );
  });

  it('may stand in a message within the event, or in a list of them; its subject is the nearest field of that name', () => {
    const outer = { name: 'who' };
    const inner = [{ name: 'deep', subject: 'who' }];
    const personsOf = (event: DescMessage, held: object) =>
      createEventCodec({ category: 'toy', events: [event] }).persons(
        create(event, { who: 'p1', ...held } as never),
        'id1',
      );
    expect(personsOf(eventOf([HOLDS, outer], inner), { in: { deep: 'x' } })).toEqual(['p1']);
    expect(personsOf(eventOf([HOLDS, outer], inner), {})).toEqual([]);
    const list = eventOf([{ ...HOLDS, isList: true }, outer], [...inner, { name: 'who' }]);
    expect(
      personsOf(list, { in: [{ deep: 'x', who: 'p2' }, { deep: '' }, { deep: 'y', who: 'p3' }] }),
    ).toEqual(['p2', 'p3']);
  });
});

it('a megabyte of JSON in which nothing is sealed is looked through in a fraction of the time that reading it takes', () => {
  const lines = Array.from({ length: 20_000 }, (_, i) => ({ sku: `SKU-${i}`, quantity: 1, name: 'Tea' }));
  const json = Buffer.from(JSON.stringify(lines));
  const quickest = (work: () => unknown): number => {
    const took = Array.from({ length: 10 }, () => {
      const began = performance.now();
      work();
      return performance.now() - began;
    });
    return Math.min(...took);
  };
  for (const text of [json, json.toString()])
    expect(quickest(() => mayHoldSealed(text))).toBeLessThan(
      quickest(() => JSON.parse(json.toString())) / 10,
    );
});

it('a sealed text is the bytes of its message, whatever is long or odd in it, and reads back as what it was', () => {
  const encode = encoderOf(SealedTextSchema);
  const usual = {
    category: 'user',
    id: 'u1',
    type: 'UserCreated',
    field: 2,
    within: '',
    person: 'u1',
    key: 7,
  };
  const long = 'x'.repeat(127);
  const others: readonly Partial<Place>[] = [
    {},
    { person: 'u2' },
    { person: 'Käthe' },
    { id: long, person: long },
    { id: `${long}x`, person: 'ü'.repeat(64) },
    { within: '0.1' },
    { field: 127 },
    { field: 128 },
    ...[1, 127, 128, 16_384, 2 ** 31 - 1].map((key) => ({ key })),
  ];
  for (const other of others) {
    for (const length of [28, 127, 128, 1_000]) {
      const place = { ...usual, ...other };
      const sealed = new Uint8Array(length).fill(length);
      const text = writeSealed(place, sealed);
      const message = { ...place, person: place.person === place.id ? '' : place.person, sealed };
      const bytes = encode(create(SealedTextSchema, message));
      expect(text.slice(1)).toBe(Buffer.from(bytes).toString('base64url'));
      expect(readSealed(text)).toEqual({ ...place, sealed });
    }
  }
});
