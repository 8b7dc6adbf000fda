import { create, equals, isMessage, toBinary } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { commitOf, decisionOf, storedEventOf } from '../../../src/eventstore/codec/stored-commit.ts';
import {
  CommitSchema,
  DecisionSchema,
  EventSchema,
} from '../../../src/gen/jetledger/eventstore/v1/commit_pb.ts';

const event = { type: 'Added', schemaVersion: 2, data: Uint8Array.of(1, 2, 3) };
const full = {
  commandId: 'command',
  fingerprint: Uint8Array.of(4, 5),
  correlationId: 'correlation',
  causationId: 'causation',
  actor: 'actor',
  traceparent: '00-01-02-03',
  tracestate: 'a=b',
};

describe('messages of the envelope that are made without the runtime', () => {
  it('an event is what the runtime makes of the same fields', () => {
    const made = storedEventOf(event.type, event.schemaVersion, event.data);
    expect(made).toEqual(create(EventSchema, event));
    expect(isMessage(made, EventSchema)).toBe(true);
  });

  it.each([
    ['everything', full, full],
    [
      'the least',
      { commandId: 'command', actor: 'actor' },
      { commandId: 'command', actor: 'actor', correlationId: 'command' },
    ],
  ])('a decision of %s is, too, in memory and as bytes', (_, meta, fields) => {
    const events = [storedEventOf(event.type, event.schemaVersion, event.data)];
    const made = decisionOf(meta, events, 1_900_000_000_000);
    const expected = create(DecisionSchema, { ...fields, time: 1_900_000_000_000n, events });
    expect(made).toEqual(expected);
    expect(equals(DecisionSchema, made, expected)).toBe(true);
    expect(toBinary(DecisionSchema, made)).toEqual(toBinary(DecisionSchema, expected));
  });

  it('a commit is, too, and has a list of its own', () => {
    const decisions = [decisionOf(full, [], 1)];
    const made = commitOf('commit', decisions);
    expect(made).toEqual(create(CommitSchema, { commitId: 'commit', decisions }));
    expect(made.decisions).not.toBe(decisions);
  });

  it('a fingerprint is a copy in plain memory, whatever the caller does with theirs', () => {
    const fingerprint = Buffer.from('body');
    const made = decisionOf({ ...full, fingerprint }, [], 1);
    fingerprint.fill(0);
    expect(made.fingerprint).toEqual(new TextEncoder().encode('body'));
  });
});
