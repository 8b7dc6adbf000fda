import { create, toBinary } from '@bufbuild/protobuf';
import { Int32ValueSchema, Int64ValueSchema, StringValueSchema } from '@bufbuild/protobuf/wkt';
import { describe, expect, it } from 'vitest';
import { codecOf, createEventCodec } from '../../../src/eventstore/codec/event-codec.ts';
import type { Upcaster } from '../../../src/eventstore/decider.ts';
import { CorruptCommit, UnknownEventType } from '../../../src/eventstore/errors.ts';
import { loadAt } from '../../../src/eventstore/fold.ts';
import { createHandler } from '../../../src/eventstore/handler.ts';
import { BEGINNING, numberOf } from '../../../src/eventstore/position.ts';
import { systemRuntime } from '../../../src/eventstore/runtime.ts';
import { CommitSchema, EventSchema } from '../../../src/gen/jetledger/eventstore/v1/commit_pb.ts';
import { added, counter, counterRef, noted, toyCommit } from '../../../src/testing/contracts/toy.ts';
import { createMemoryLog, createMemoryStore, openMemoryLog } from '../../../src/testing/memory-log.ts';

const stored = (type: string, schemaVersion: number, data: Uint8Array) =>
  create(EventSchema, { type, schemaVersion, data: data as Uint8Array<ArrayBuffer> });
const text = (value: string) => toBinary(StringValueSchema, create(StringValueSchema, { value }));
const number = (value: number) => toBinary(Int32ValueSchema, create(Int32ValueSchema, { value }));

describe('an event', () => {
  it('is stored under its short name and schema version, and read back as it was', () => {
    const codec = codecOf(counter);
    expect(codec.encode(added(7))).toMatchObject({ type: 'Int32Value', schemaVersion: 1 });
    expect(codec.decode(codec.encode(noted('x')))).toEqual(noted('x'));
  });

  it('of a type or version that this one cannot read is an error that says what to do', () => {
    const codec = codecOf(counter);
    const decode = (type: string, version: number) => () => codec.decode(stored(type, version, number(1)));
    expect(decode('Multiplied', 1)).toThrow(UnknownEventType);
    expect(decode('Multiplied', 1)).toThrow(
      'cannot read the event counter/Multiplied of schema version 1. Deploy the version that introduced it.',
    );
    expect(decode('Int32Value', 2)).toThrow('counter/Int32Value of schema version 2');
    expect(decode('Int32Value', 0)).toThrow(UnknownEventType);
  });

  it('of another category cannot be written', () => {
    const codec = createEventCodec({ category: 'notes', events: [StringValueSchema] });
    expect(() => codec.encode(added(1) as never)).toThrow('notes/google.protobuf.Int32Value');
  });

  it('that would not come back as it was is refused before anything is sent, with the field that is wrong', async () => {
    const codec = codecOf(counter);
    const invalid = (part: string) =>
      expect.objectContaining({ code: 'event/invalid', message: expect.stringContaining(part) });
    expect(() => codec.encode(noted('a\ud800b'))).toThrow(
      invalid('StringValue cannot be stored: value holds half'),
    );
    expect(() => codec.encode(noted('\udc00'.repeat(9_000)))).toThrow(invalid('value'));
    for (const number of [2 ** 31, -(2 ** 31) - 1, 0.5, Number.NaN])
      expect(() => codec.encode(added(number))).toThrow(invalid('Int32Value.value'));
    const long = createEventCodec({ category: 'long', events: [Int64ValueSchema] });
    expect(() => long.encode(create(Int64ValueSchema, { value: 2n ** 63n }))).toThrow(
      invalid('Int64Value.value'),
    );
    const log = createMemoryLog();
    const handler = createHandler({ log, runtime: systemRuntime });
    const command = { kind: 'note', text: 'a\ud800b' } as const;
    const refused = handler.execute(counter, 'c', command, { commandId: '1', actor: 'a' });
    await expect(refused).rejects.toThrow(invalid('value holds half'));
    expect(await log.head()).toBe(0);
  });

  it('that is encrypted is refused, since nobody here holds a key', () => {
    const event = codecOf(counter).encode(added(7));
    event.encryption = create(EventSchema, { encryption: { keyId: 'k1' } }).encryption;
    expect(() => codecOf(counter).decode(event)).toThrow(
      expect.objectContaining({
        code: 'event/encrypted',
        message: expect.stringContaining('counter/Int32Value'),
      }),
    );
  });

  it('whose bytes are damaged is an error that names it', () => {
    const damaged = stored('StringValue', 1, Uint8Array.of(0x0a, 0xff));
    expect(() => codecOf(counter).decode(damaged)).toThrow(
      expect.objectContaining({
        code: 'event/corrupt',
        message: expect.stringContaining('counter/StringValue'),
      }),
    );
  });

  it('keeps fields that a newer writer added, as far as they are unknown here', () => {
    const bytes = Uint8Array.of(...number(5), 0x10, 0x01);
    expect(codecOf(counter).decode(stored('Int32Value', 1, bytes))).toMatchObject({ value: 5 });
  });
});

describe('a category', () => {
  it('has no two events of one short name', () => {
    const events = [StringValueSchema, StringValueSchema];
    expect(() => createEventCodec({ category: 'notes', events })).toThrow(
      'notes has two events called StringValue',
    );
  });
});

describe('a history with an event that cannot be read', () => {
  async function logWith(change: (event: { type: string; data: Uint8Array }) => void) {
    const log = createMemoryLog({ prefix: 'jl' });
    await log.append(counterRef('a'), 0, toyCommit('c1', [added(1)]));
    const commit = toyCommit('c2', [added(2)]);
    for (const event of commit.decisions.flatMap((d) => d.events)) change(event);
    await log.append(counterRef('a'), 1, commit);
    await log.append(counterRef('a'), 2, toyCommit('c3', [added(3)]));
    return log;
  }

  it('stops whoever folds it, and can be folded up to there', async () => {
    const log = await logWith((event) => {
      event.type = 'Multiplied';
    });
    await expect(loadAt(log, counter, 'a', {})).rejects.toBeInstanceOf(UnknownEventType);
    expect((await loadAt(log, counter, 'a', { version: 1 })).state.total).toBe(1);
  });

  it('stops whoever scans the log and decodes it; who does not look at it passes', async () => {
    const log = await logWith((event) => {
      event.type = 'Multiplied';
    });
    const read: number[] = [];
    const scan = async (decode: boolean) => {
      for await (const { commits } of log.scan({ after: BEGINNING })) {
        for (const commit of commits) {
          if (decode) for (const d of commit.decisions) d.events.map((e) => codecOf(counter).decode(e));
          read.push(numberOf(commit.position));
        }
      }
    };
    await expect(scan(true)).rejects.toBeInstanceOf(UnknownEventType);
    expect(read).toEqual([1]);
    await scan(false);
    expect(read).toEqual([1, 1, 2, 3]);
  });

  it('names the aggregate and the position when an event in it is damaged', async () => {
    const log = await logWith((event) => {
      event.data = Uint8Array.of(0x08);
    });
    const error = await loadAt(log, counter, 'a', {}).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(CorruptCommit);
    expect(String(error)).toContain('position 2 on counter/a');
  });

  it('names subject and position when the whole commit is damaged', async () => {
    const store = createMemoryStore({ prefix: 'jl' });
    store.put(counterRef('a'), 0, toBinary(CommitSchema, toyCommit('c1', [added(1)])), 'c1');
    store.put(counterRef('a'), 1, Uint8Array.of(0xff, 0xff), 'c2');
    const error = await loadAt(openMemoryLog(store), counter, 'a', {}).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(CorruptCommit);
    expect(String(error)).toMatch(/position 2 on jl\.counter\.\d\.\d\.\d\.a /);
  });
});

/** Numbers were once texts in cents (1), then texts in whole units (2), and are numbers now (3). */
const fromCents: Upcaster = {
  type: 'Amount',
  fromVersion: 1,
  upcast: (data) => ({ type: 'Amount', data: text(String(Number(decodeText(data)) / 100)) }),
};
const fromText: Upcaster = {
  type: 'Amount',
  fromVersion: 2,
  upcast: (data) => ({ type: 'Int32Value', data: number(Number(decodeText(data))) }),
};

function decodeText(data: Uint8Array): string {
  return new TextDecoder().decode(data.subarray(2));
}

describe('an upcaster', () => {
  it('is applied step by step until the newest version, also across a renaming', () => {
    const codec = createEventCodec({ ...counter, upcasters: [fromText, fromCents] });
    expect(codec.decode(stored('Amount', 1, text('500')))).toEqual(added(5));
    expect(codec.decode(stored('Amount', 2, text('5')))).toEqual(added(5));
    expect(codec.decode(codec.encode(added(5)))).toEqual(added(5));
  });

  it('goes on from a renamed type through the upcasters of its new name', () => {
    const doubled: Upcaster = {
      type: 'Int32Value',
      fromVersion: 1,
      upcast: (data) => ({ type: 'Int32Value', data: number((data[1] ?? 0) * 2) }),
    };
    const codec = createEventCodec({ ...counter, upcasters: [fromText, doubled] });
    expect(codec.decode(stored('Amount', 2, text('5')))).toEqual(added(10));
    expect(codec.decode(stored('Int32Value', 1, number(5)))).toEqual(added(10));
    expect(codec.encode(added(5)).schemaVersion).toBe(2);
    expect(codec.decode(codec.encode(added(5)))).toEqual(added(5));
  });

  it('that cannot read its bytes is an error that names the event', () => {
    const broken: Upcaster = {
      ...fromCents,
      upcast: () => {
        throw new RangeError('index out of range');
      },
    };
    const codec = createEventCodec({ ...counter, upcasters: [broken, fromText] });
    expect(() => codec.decode(stored('Amount', 1, text('5')))).toThrow(
      expect.objectContaining({ code: 'event/corrupt', message: expect.stringContaining('counter/Amount') }),
    );
  });

  it('that is missing in the chain leaves the event unreadable rather than half converted', () => {
    const codec = createEventCodec({
      category: 'counter',
      events: [Int64ValueSchema],
      upcasters: [fromCents],
    });
    expect(() => codec.decode(stored('Amount', 1, text('5')))).toThrow('counter/Amount of schema version 1');
  });
});
