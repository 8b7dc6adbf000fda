import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import {
  commandLogOf,
  emptyCommandLog,
  REMEMBERED_COMMANDS,
  recallCommand,
  recordsOf,
  rememberCommand,
  sameFingerprint,
} from '../../../src/eventstore/command-log.ts';
import { DecisionSchema } from '../../../src/gen/jetledger/eventstore/v1/commit_pb.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const decision = (commandId: string, body = '') =>
  create(DecisionSchema, { commandId, fingerprint: bytes(body) });

describe('the commands of an aggregate', () => {
  it('are recalled with their version and whether the content was the same', () => {
    const log = emptyCommandLog();
    rememberCommand(log, decision('c1', 'one'), 7);
    expect(recallCommand(log, 'c1', bytes('one'))).toEqual({ version: 7, same: true });
    expect(recallCommand(log, 'c1', bytes('two'))).toEqual({ version: 7, same: false });
    expect(recallCommand(log, 'c2', bytes('one'))).toBeUndefined();
  });

  it('are forgotten oldest first beyond their bound, but never the first of all', () => {
    const log = emptyCommandLog();
    for (let i = 0; i <= REMEMBERED_COMMANDS + 1; i++) rememberCommand(log, decision(`c${i}`), i + 1);
    expect(recallCommand(log, 'c0', undefined)).toEqual({ version: 1, same: true });
    expect(recallCommand(log, 'c1', undefined)).toBeUndefined();
    for (let i = 2; i <= REMEMBERED_COMMANDS + 1; i++) {
      expect(recallCommand(log, `c${i}`, undefined)?.version).toBe(i + 1);
    }
  });

  it('are told apart by the whole of their ids, whatever these look like', () => {
    const ids = [
      '0f0e0d0c-1b1a-4918-8716-151413121110',
      '0f0e0d0c-1b1a-4918-8716-151413121111',
      '0F0E0D0C-1B1A-4918-8716-151413121110',
      '0f0e0d0c-1b1a-4918-8716-15141312111',
      '0f0e0d0c-1b1a-4918-8716-15141312111g',
      '0f0e0d0c1b1a-4918-8716-151413121110-',
      '',
      '17/reserve',
    ];
    const log = emptyCommandLog();
    for (const [i, id] of ids.entries()) {
      expect(recallCommand(log, id, undefined)).toBeUndefined();
      rememberCommand(log, decision(id), i + 1);
    }
    expect(ids.map((id) => recallCommand(log, id, undefined)?.version)).toEqual(ids.map((_, i) => i + 1));
  });

  it('hold versions beyond 32 bits', () => {
    const log = emptyCommandLog();
    for (const [i, version] of [2 ** 32 - 1, 2 ** 32, Number.MAX_SAFE_INTEGER].entries()) {
      rememberCommand(log, decision(`c${i}`), version);
      expect(recallCommand(log, `c${i}`, undefined)?.version).toBe(version);
    }
  });

  it.each([
    ['a digest', new Uint8Array(16).fill(7), new Uint8Array(16).fill(8)],
    ['a text that begins as another one', bytes('the same beginning'), bytes('the same begin')],
    ['a text of the length of a digest', bytes('0123456789abcdef'), bytes('1123456789abcdef')],
    ['a Buffer', Buffer.from('one'), Buffer.from('two')],
  ])('know their content by its fingerprint: %s', (_, fingerprint, other) => {
    const log = emptyCommandLog();
    rememberCommand(log, create(DecisionSchema, { commandId: 'c', fingerprint }), 1);
    expect(recallCommand(log, 'c', Uint8Array.from(fingerprint))?.same).toBe(true);
    expect(recallCommand(log, 'c', other)?.same).toBe(false);
    expect(recallCommand(log, 'c', undefined)?.same).toBe(true);
    expect(recallCommand(log, 'c', new Uint8Array())?.same).toBe(true);
  });

  it.each([0, 1, 2, 3, 9, 33, 129, REMEMBERED_COMMANDS + 1, 1_000])(
    'are the same after they were kept elsewhere, %i of them, and go on as before',
    (count) => {
      const log = emptyCommandLog();
      for (let i = 0; i < count; i++) rememberCommand(log, decision(`c${i}`, `body ${i}`), i + 1);
      const kept = commandLogOf(log.count, new Uint8Array(Buffer.concat(recordsOf(log))));
      expect(kept).toEqual(log);
      if (kept === undefined) return;
      for (const each of [log, kept]) rememberCommand(each, decision('next'), count + 1);
      expect(kept).toEqual(log);
    },
  );

  it('are refused as records that do not fit their number', () => {
    expect(commandLogOf(2, new Uint8Array(32))).toBeUndefined();
    expect(commandLogOf(0, new Uint8Array(32))).toBeUndefined();
    expect(commandLogOf(1, new Uint8Array(31))).toBeUndefined();
  });
});

describe('two digests', () => {
  it.each([
    ['equal ones agree', bytes('a'), bytes('a'), true],
    ['others do not', bytes('a'), bytes('b'), false],
    ['a longer one does not', bytes('a'), bytes('ab'), false],
    ['an absent one agrees with any', bytes('a'), undefined, true],
    ['an empty one agrees with any', bytes(''), bytes('b'), true],
  ])('%s', (_, stored, given, same) => {
    expect(sameFingerprint(stored, given)).toBe(same);
  });
});
