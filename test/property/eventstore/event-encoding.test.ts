import { create, toBinary } from '@bufbuild/protobuf';
import { headers, MsgHdrsImpl } from '@nats-io/transport-node';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeCommit } from '../../../src/eventstore/codec/stored-commit.ts';
import { headerLine, writeHeaders } from '../../../src/eventstore/nats/message.ts';
import { commitHeaders, parseAck, parseAnyAck } from '../../../src/eventstore/nats/wire.ts';
import { CommitSchema, DecisionSchema } from '../../../src/gen/jetledger/eventstore/v1/commit_pb.ts';

const RUNS = { numRuns: 500 };
const text = fc.oneof(fc.string({ unit: 'binary', maxLength: 40 }), fc.string({ maxLength: 300 }));
const bytes = fc.uint8Array({ maxLength: 300 }).map((b) => new Uint8Array(b));

const event = fc.record(
  {
    type: text,
    schemaVersion: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    data: bytes,
    encryption: fc.record({ keyId: text, algorithm: text }),
  },
  { requiredKeys: ['type', 'schemaVersion', 'data'] },
);
const decision = fc.record({
  commandId: text,
  fingerprint: bytes,
  correlationId: text,
  causationId: text,
  actor: text,
  traceparent: text,
  tracestate: text,
  time: fc.oneof(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), fc.constant(1_900_000_000_000n)),
  events: fc.array(event, { maxLength: 4 }),
  metadata: fc.array(fc.record({ key: text, value: text }), { maxLength: 3 }),
});
const commit = fc
  .record({ commitId: text, decisions: fc.array(decision, { maxLength: 4 }) })
  .map((init) => create(CommitSchema, init));

describe('a commit that is encoded without reflection', () => {
  it('has the bytes that the protobuf runtime gives it', () => {
    fc.assert(
      fc.property(commit, (given) => {
        expect(Buffer.from(encodeCommit(given))).toEqual(Buffer.from(toBinary(CommitSchema, given)));
      }),
      RUNS,
    );
  });

  it('has them also where it is too large for that', () => {
    for (const size of [24_575, 24_576, 24_577, 70_000]) {
      for (const count of [1, 3]) {
        const data = new Uint8Array(size).fill(1);
        const events = Array.from({ length: count }, () => ({ type: 'A', schemaVersion: 1, data }));
        const given = create(CommitSchema, { commitId: 'c', decisions: [{ commandId: 'd', events }] });
        expect(Buffer.from(encodeCommit(given))).toEqual(Buffer.from(toBinary(CommitSchema, given)));
      }
    }
  });

  it('keeps fields that this version does not know', () => {
    const given = create(CommitSchema, { commitId: 'c', decisions: [create(DecisionSchema)] });
    const [first] = given.decisions;
    if (first !== undefined) first.$unknown = [{ no: 12, wireType: 0, data: Uint8Array.of(5) }];
    expect(Buffer.from(encodeCommit(given))).toEqual(Buffer.from(toBinary(CommitSchema, given)));
  });
});

/** What a header may hold: anything that the client itself sends unchanged. */
const value = fc
  .string({ unit: 'grapheme', maxLength: 60 })
  .filter((v) => v === v.trim() && !/[\r\n]/.test(v));
const name = fc.stringMatching(/^[A-Za-z][A-Za-z0-9-]{0,20}$/);

describe('headers that are written by hand', () => {
  it('have the bytes of the client', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.tuple(name, value), { selector: ([n]) => n, maxLength: 8 }), (given) => {
        const theirs = headers();
        for (const [n, v] of given) theirs.set(n, v);
        const own = writeHeaders(given.map(([n, v]) => headerLine(n, v)).join(''));
        if (!(theirs instanceof MsgHdrsImpl)) throw new TypeError('the client has other headers');
        expect(Buffer.from(own.encode()).toString()).toBe(
          given.length === 0 ? 'NATS/1.0\r\n\r\n' : Buffer.from(theirs.encode()).toString(),
        );
      }),
      RUNS,
    );
  });

  it('refuse a value that would end its line', () => {
    for (const bad of ['a\nb', 'a\r', '\n']) expect(() => headerLine('Jl-Commit', bad)).toThrow(RangeError);
  });

  it('name every event type of a commit once, in order', () => {
    const types = (...lists: string[][]) => {
      const decisions = lists.map((list) => ({ events: list.map((type) => ({ type })) }));
      const given = create(CommitSchema, { commitId: 'c', decisions });
      return MsgHdrsImpl.decode(commitHeaders(given, 7).encode()).get('Jl-Types');
    };
    expect(types(['A'])).toBe('A');
    expect(types(['A', 'B'], ['B', 'C', 'A'])).toBe('A,B,C');
  });
});

describe('an answer to a publish', () => {
  const ack = fc.record(
    {
      stream: fc.stringMatching(/^[A-Za-z0-9_-]{1,20}$/),
      seq: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
      duplicate: fc.boolean(),
      batch: fc.string(),
      count: fc.nat(),
      error: fc.record({ code: fc.nat(999), err_code: fc.nat(20_000), description: fc.string() }),
    },
    { requiredKeys: ['stream', 'seq'] },
  );

  it('is read as the JSON that it is, also by the short way', () => {
    fc.assert(
      fc.property(ack, (given) => {
        const json = JSON.stringify(given);
        expect(parseAck({ data: Buffer.from(json) })).toEqual(parseAnyAck(json));
      }),
      RUNS,
    );
  });

  it('that is not JSON throws', () => {
    for (const bad of ['', '{"stream":"a","seq":}', '{"stream":"a","seq":1', 'nothing']) {
      expect(() => parseAck({ data: Buffer.from(bad) })).toThrow(SyntaxError);
    }
  });
});
