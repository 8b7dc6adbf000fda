import { TraceFlags } from '@opentelemetry/api';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { namesUnsampled, parseTrace } from '../../../src/eventstore/trace-context.ts';

/** What the W3C recommendation says of version 00 and of later ones, as one expression. */
const PATTERN =
  /^(?!ff)(?=00-.{52}$|(?!00).{55}(?:-|$))[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})/s;

const hex = (length: number) => {
  const digits = fc.constantFrom(...'0123456789abcdef');
  const any = fc.array(digits, { minLength: length, maxLength: length }).map((all) => all.join(''));
  return fc.oneof({ weight: 4, arbitrary: any }, { weight: 1, arbitrary: fc.constant('0'.repeat(length)) });
};
const version = fc.constantFrom('00', '00', '00', '01', 'cc', 'fe', 'ff');
const later = fc.constantFrom('', '', '-', '-01', '-what comes later', '.', '0');
const sound = fc
  .tuple(version, hex(32), hex(16), hex(2), later)
  .map(([of, trace, span, flags, more]) => `${of}-${trace}-${span}-${flags}${more}`);
/** Nearly one: a character is another, one more or one less. */
const bent = fc
  .tuple(sound, fc.nat(55), fc.constantFrom('', '0', 'A', 'g', '-', '00', ' ', 'é', '\n'), fc.nat(1))
  .map(([text, at, put, cut]) => text.slice(0, at) + put + text.slice(at + cut));

describe('a stored trace', () => {
  it('is read as the recommendation demands, and anything else is as good as none', () => {
    fc.assert(
      fc.property(fc.oneof(sound, bent, fc.string()), (traceparent) => {
        const [, traceId, spanId, flags] = PATTERN.exec(traceparent) ?? [];
        const isSampled = (Number.parseInt(flags ?? '', 16) & TraceFlags.SAMPLED) !== 0;
        const traceFlags = isSampled ? TraceFlags.SAMPLED : TraceFlags.NONE;
        const expected = traceId === undefined ? undefined : { traceId, spanId, traceFlags, isRemote: true };
        expect(parseTrace({ traceparent })).toEqual(expected);
        expect(namesUnsampled(traceparent)).toBe(expected !== undefined && !isSampled);
      }),
      { numRuns: 3_000 },
    );
  });

  it('is none when it is absent', () => {
    expect(parseTrace({})).toBeUndefined();
    expect(namesUnsampled(undefined)).toBe(false);
  });
});
