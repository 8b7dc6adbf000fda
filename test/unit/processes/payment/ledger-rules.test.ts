import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  authorising,
  cancelling,
  capturing,
  creating,
  decodeEntry,
  encodeEntry,
  heldMinor,
  keptMinor,
  type LedgerEntry,
  type Rule,
  refunding,
  settled,
} from '../../../../src/processes/payment/adapters/ledger.ts';
import { PaymentRefused } from '../../../../src/processes/payment/port.ts';

const KEY = 'order-1';
const AMOUNT = 4_200n;
const LATE_MS = 100;

const CALLS = ['create', 'authorise', 'capture', 'cancel', 'refund'] as const;
type Call = (typeof CALLS)[number];

const ruleOf = (call: Call, token: string): Rule<object> => {
  switch (call) {
    case 'create':
      return creating({ key: KEY, amountMinor: AMOUNT, currency: 'EUR', token });
    case 'authorise':
      return authorising(KEY, LATE_MS);
    case 'capture':
      return capturing(KEY);
    case 'cancel':
      return cancelling(KEY);
    case 'refund':
      return refunding(KEY);
    default:
      return call satisfies never;
  }
};

const token = fc.constantFrom(
  'tok_success',
  'tok_declined',
  'tok_insufficient_funds',
  'tok_timeout',
  'tok_never',
  'tok_fail_2',
  'tok_slow_50',
  'tok_late',
  'tok_capture_declined',
  'tok_of_nobody',
);
const steps = fc.array(fc.record({ call: fc.constantFrom(...CALLS), afterMs: fc.nat(80) }), {
  maxLength: 30,
});

/** Plays the calls one after the other; `look` sees the entry before and after each. */
function play(
  tokenOfIntent: string,
  calls: readonly { call: Call; afterMs: number }[],
  look: (
    before: LedgerEntry | undefined,
    after: LedgerEntry,
    answer: object,
    now: number,
    call: Call,
  ) => void,
): LedgerEntry | undefined {
  let entry: LedgerEntry | undefined;
  let now = 1_900_000_000_000;
  for (const { call, afterMs } of calls) {
    now += afterMs;
    try {
      const ruling = ruleOf(call, tokenOfIntent)(entry, now);
      look(entry, ruling.entry, ruling.answer, now, call);
      entry = ruling.entry;
    } catch (error) {
      if (!(error instanceof PaymentRefused)) throw error;
    }
  }
  return entry;
}

describe('the ledger of the simulated provider, for any calls in any order', () => {
  it('never holds a payment that is both cancelled and captured, or refunds what was not captured', () => {
    fc.assert(
      fc.property(token, steps, (tokenOfIntent, calls) => {
        play(tokenOfIntent, calls, (_, after) => {
          expect(after.cancelledAt !== undefined && after.capturedAt !== undefined).toBe(false);
          if (after.refundedAt !== undefined) expect(after.capturedAt).toBeDefined();
          if (after.capturedAt !== undefined) expect(after.authorisedAt).toBeDefined();
          if (after.declined !== undefined) expect(after.authorisedAt).toBeUndefined();
          expect(keptMinor(after) === 0n || heldMinor(after) === 0n).toBe(true);
        });
      }),
    );
  });

  it('never takes back what happened, and never gives another time to it', () => {
    const times = ['createdAt', 'authorisedAt', 'capturedAt', 'cancelledAt', 'refundedAt'] as const;
    fc.assert(
      fc.property(token, steps, (tokenOfIntent, calls) => {
        play(tokenOfIntent, calls, (before, after) => {
          for (const time of times) if (before?.[time] !== undefined) expect(after[time]).toBe(before[time]);
        });
      }),
    );
  });

  it('answers a call that had its effect the same when it is repeated, and then changes nothing', () => {
    fc.assert(
      fc.property(token, steps, (tokenOfIntent, calls) => {
        play(tokenOfIntent, calls, (_, after, answer, now, call) => {
          const { outcome } = answer as { outcome?: string };
          if (outcome === 'silence' || outcome === 'pending' || outcome === 'unavailable') return;
          const later = now + 1_000;
          const again = ruleOf(call, tokenOfIntent)(after, later);
          expect(again.answer).toEqual(answer);
          expect(settled(again.entry, later)).toEqual(settled(after, later));
        });
      }),
    );
  });

  it('lets nothing be held or taken after a cancellation, however late it would have been authorised', () => {
    fc.assert(
      fc.property(token, steps, steps, (tokenOfIntent, before, after) => {
        const cancel = { call: 'cancel' as const, afterMs: 0 };
        const entry = play(tokenOfIntent, [...before, cancel, ...after], () => undefined);
        if (entry === undefined) throw new Error('a cancellation leaves an entry');
        const late = settled(entry, Number.MAX_SAFE_INTEGER);
        if (late.cancelledAt !== undefined) expect([heldMinor(late), keptMinor(late)]).toEqual([0n, 0n]);
        else expect(late.capturedAt).toBeDefined();
      }),
    );
  });

  it('reads back what it wrote', () => {
    fc.assert(
      fc.property(token, steps, (tokenOfIntent, calls) => {
        play(tokenOfIntent, calls, (_, after) => expect(decodeEntry(encodeEntry(after))).toEqual(after));
      }),
    );
  });
});

describe('an amount', () => {
  it('below zero or in no currency is refused', () => {
    for (const wrong of [{ amountMinor: -1n }, { currency: 'eur' }, { currency: '' }]) {
      const intent = { key: KEY, amountMinor: 1n, currency: 'EUR', token: 'tok_success', ...wrong };
      expect(() => creating(intent)).toThrow(PaymentRefused);
    }
  });
});
