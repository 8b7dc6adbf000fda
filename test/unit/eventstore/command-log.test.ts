import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import {
  emptyCommandLog,
  REMEMBERED_COMMANDS,
  recallCommand,
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
    expect(log.recent.size).toBe(REMEMBERED_COMMANDS);
    expect(recallCommand(log, 'c0', undefined)).toEqual({ version: 1, same: true });
    expect(recallCommand(log, 'c1', undefined)).toBeUndefined();
    expect(recallCommand(log, 'c2', undefined)?.version).toBe(3);
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
