import { create } from '@bufbuild/protobuf';
import { Int32ValueSchema } from '@bufbuild/protobuf/wkt';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { codecOf } from '../../../src/eventstore/codec/event-codec.ts';
import { positionOf } from '../../../src/eventstore/position.ts';
import { DecisionSchema } from '../../../src/gen/jetledger/eventstore/v1/commit_pb.ts';
import { type AccountCommand, account } from '../../audit/account.ts';
import { checkHistory } from '../../audit/checker.ts';
import { fingerprintOf, type Operation, type Read } from '../../audit/history.ts';

interface Span {
  readonly from: number;
  readonly to: number;
}

/** Writes in the order in which the log has them; reads with the number of writes that they saw. */
interface Case {
  readonly writes: readonly (Span & { readonly answered: boolean })[];
  readonly reads: readonly (Span & { readonly saw: number })[];
}

const LAST = 7;
const span = fc
  .tuple(fc.integer({ min: 0, max: LAST }), fc.integer({ min: 0, max: LAST }))
  .map(([a, b]) => ({ from: Math.min(a, b), to: Math.max(a, b) }));
const write = fc.tuple(span, fc.boolean()).map(([when, answered]) => ({ ...when, answered }));
const cases: fc.Arbitrary<Case> = fc.array(write, { maxLength: 3 }).chain((writes) => {
  const saw = fc.integer({ min: 0, max: writes.length });
  const read = fc.tuple(span, saw).map(([when, version]) => ({ ...when, saw: version }));
  return fc.array(read, { maxLength: 4 }).map((reads) => ({ writes, reads }));
});

/** Whether there are moments for all writes, in their order, that every call and read agrees with: tries them all. */
function isLegal({ writes, reads }: Case, moments: readonly number[] = []): boolean {
  const next = writes[moments.length];
  if (next !== undefined) {
    const end = next.answered ? next.to : LAST + 1;
    for (let at = Math.max(next.from, moments.at(-1) ?? 0); at <= end; at++) {
      if (isLegal({ writes, reads }, [...moments, at])) return true;
    }
    return false;
  }
  return reads.every(({ from, to, saw }) => {
    const began = saw === 0 ? 0 : (moments[saw - 1] ?? 0);
    const ended = moments[saw] ?? Number.POSITIVE_INFINITY;
    return Math.max(from, began) <= Math.min(to, ended);
  });
}

const { encode } = codecOf(account);
const command: AccountCommand = { kind: 'move', amount: 1 };

/** Whether the audit finds nothing wrong. */
function isPassed({ writes, reads }: Case): boolean {
  const fingerprint = fingerprintOf(command) as Uint8Array<ArrayBuffer>;
  const events = [encode(create(Int32ValueSchema, { value: 1 }))];
  const commits = writes.map((_, i) => ({
    stream: { category: 'account', id: 'a' },
    position: positionOf(i + 1),
    previous: i,
    commitId: `c${i}`,
    decisions: [create(DecisionSchema, { commandId: `w${i}`, fingerprint, events })],
  }));
  const operations = writes.map(({ from, to, answered }, i): Operation<AccountCommand> => {
    const state = { balance: i + 1, label: '' };
    const call = { call: `w${i}`, aggregate: 'a', commandId: `w${i}`, command, expected: 'any' } as const;
    if (!answered) return { ...call, invokedAt: from };
    const outcome = { kind: 'accepted', version: i + 1, repeated: false, state } as const;
    return { ...call, invokedAt: from, completedAt: to, outcome };
  });
  const readings = reads.map(({ from, to, saw }): Read => {
    const state = { balance: saw, label: '' };
    const period = { reader: 'r', invokedAt: from, completedAt: to };
    return { read: 'state', ...period, aggregate: 'a', version: saw, state };
  });
  return checkHistory(account, { operations, reads: readings }, { commits, controls: 0 }).violated === 0;
}

it('the audit passes exactly the reads and writes that are legal at some moment of each', () => {
  const seen = { legal: 0, illegal: 0 };
  fc.assert(
    fc.property(cases, (one) => {
      const legal = isLegal(one);
      seen[legal ? 'legal' : 'illegal']++;
      expect(isPassed(one)).toBe(legal);
    }),
    { numRuns: 3_000, seed: 15 },
  );
  expect(Math.min(seen.legal, seen.illegal)).toBeGreaterThan(500);
});
