import { create, equals, isMessage, toBinary } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { metadataOf } from '../../../src/eventstore/codec/metadata.ts';
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

  it('a decision keeps the metadata of its command, in the order in which they were given', () => {
    const given = { tenant: 'a', 'x.y-z_1': 'Käse' };
    const metadata = Object.entries(given).map(([key, value]) => ({ key, value }));
    const made = decisionOf({ ...full, metadata: given }, [], 5);
    expect(made).toEqual(create(DecisionSchema, { ...full, time: 5n, metadata }));
    expect(metadataOf(made)).toEqual(given);
    expect(metadataOf(decisionOf(full, [], 5))).toEqual({});
  });

  it.each([
    [Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`k${i}`, ''])), /metadata has 33 keys/],
    [{ big: 'ä'.repeat(2_047) }, /metadata has 4097 bytes/],
    [{ '': 'x' }, /metadata\[""\] is no key/],
    [{ 'with space': 'x' }, /metadata\["with space"\] is no key/],
    [{ ['k'.repeat(65)]: 'x' }, /is no key/],
    [{ half: '\ud800' }, /metadata\["half"\] is not a text/],
  ])('metadata that are not taken are refused by the name of the field: %#', (metadata, message) => {
    expect(() => decisionOf({ ...full, metadata }, [], 5)).toThrow(message);
  });

  it('metadata up to the bounds are taken', () => {
    const keys = Object.fromEntries(Array.from({ length: 32 }, (_, i) => [`k${i + 10}`, 'v'.repeat(125)]));
    expect(decisionOf({ ...full, metadata: keys }, [], 5).metadata).toHaveLength(32);
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
