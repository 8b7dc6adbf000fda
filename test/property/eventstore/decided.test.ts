import { create, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decidedIn, recordedCommit } from '../../../src/eventstore/codec/stored-commit.ts';
import { CorruptCommit } from '../../../src/eventstore/errors.ts';
import { positionOf } from '../../../src/eventstore/position.ts';
import { CommitSchema } from '../../../src/gen/jetledger/eventstore/v1/commit_pb.ts';

const texts = fc.oneof(fc.string({ maxLength: 12 }), fc.constantFrom('Käse', '\ufeffmark', 'OrderPlaced'));
const bytes = fc.uint8Array({ maxLength: 20 });
const times = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 53n + 2n }),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
);
const events = fc.record({
  type: texts,
  schemaVersion: fc.nat(0xffff_ffff),
  data: bytes,
  encryption: fc.option(fc.record({ keyId: texts, algorithm: texts }), { nil: undefined, freq: 8 }),
});
const decisions = fc.record({
  commandId: texts,
  fingerprint: bytes,
  correlationId: texts,
  causationId: texts,
  actor: texts,
  traceparent: texts,
  tracestate: texts,
  time: times,
  events: fc.array(events, { maxLength: 3 }),
  metadata: fc.array(fc.record({ key: texts, value: texts }), { maxLength: 3 }),
});
const commits = fc.record({ commitId: texts, decisions: fc.array(decisions, { maxLength: 3 }) });

type Init = typeof commits extends fc.Arbitrary<infer T> ? T : never;

function bytesOf({ commitId, decisions: all }: Init): Uint8Array {
  const cleaned = all.map((decision) => ({
    ...decision,
    events: decision.events.map(({ encryption, ...event }) => ({
      ...event,
      ...(encryption && { encryption }),
    })),
  }));
  return toBinary(CommitSchema, create(CommitSchema, { commitId, decisions: cleaned }));
}

/** What is decided in a commit, as its decisions say it and as it is read without them. */
function bothWays(stored: Uint8Array, commitId: string | undefined) {
  // As it comes from a socket: somewhere within a larger piece of memory.
  const memory = Buffer.concat([Buffer.alloc(7, 0xff), stored, Buffer.alloc(5, 0xff)]);
  const data = memory.subarray(7, 7 + stored.length);
  const commit = () =>
    recordedCommit({
      subject: 'jl.order.0.0.0.a',
      position: positionOf(2),
      previous: 1,
      bytes: data,
      commitId,
    });
  return {
    read: outcome(() =>
      decidedIn(commit()).map(({ time, traceparent, events: all }) => ({
        time,
        traceparent,
        events: all.map(({ type, schemaVersion, data: at, encryption }) => ({
          type,
          schemaVersion,
          data: Buffer.from(at.buffer, at.byteOffset, at.length).toString('hex'),
          encryption: encryption !== undefined,
        })),
      })),
    ),
    decoded: outcome(() =>
      commit().decisions.map(({ time, traceparent, events: all }) => ({
        time: Number(time),
        traceparent,
        events: all.map(({ type, schemaVersion, data: at, encryption }) => ({
          type,
          schemaVersion,
          data: Buffer.from(at).toString('hex'),
          encryption: encryption !== undefined,
        })),
      })),
    ),
  };
}

function outcome<T>(work: () => T): T | string {
  try {
    return work();
  } catch (error) {
    expect(error).toBeInstanceOf(CorruptCommit);
    return String(error);
  }
}

test('what was decided is read as decoding the whole commit tells it, or refused as there', () => {
  fc.assert(
    fc.property(commits, fc.constantFrom('own', 'none', 'other'), (init, header) => {
      const commitId = header === 'own' ? init.commitId : header === 'other' ? 'another' : undefined;
      const { read, decoded } = bothWays(bytesOf(init), commitId);
      expect(read).toEqual(decoded);
    }),
    { numRuns: 2_000 },
  );
});

test('bytes that were cut, changed, repeated or lengthened come out the same both ways', () => {
  const change = fc.record({ at: fc.nat(200), to: fc.nat(255), cut: fc.nat(300), twice: fc.boolean() });
  fc.assert(
    fc.property(commits, change, fc.uint8Array({ maxLength: 8 }), (init, edit, more) => {
      const whole = bytesOf(init);
      const bent = Uint8Array.from([...whole, ...(edit.twice ? whole : []), ...more]);
      if (edit.at < bent.length) bent[edit.at] = edit.to;
      const part = edit.cut < bent.length && edit.cut > 0 ? bent.subarray(0, edit.cut) : bent;
      const { read, decoded } = bothWays(part, init.commitId);
      expect(read).toEqual(decoded);
    }),
    { numRuns: 4_000 },
  );
});
