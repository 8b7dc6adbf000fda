import { describe, expect, it } from 'vitest';
import { lineageOf, placeNow, putBackMetadata, storedIn } from '../../../src/eventstore/nats/lineage.ts';

const CREATED = '2026-11-30T16:00:00.123456789Z';
const plain = { created: CREATED, config: {} };
/** As the stream is after it was copied up to `last` and put back. */
const putBack = (copied: Parameters<typeof lineageOf>[0], last: number, incarnation: string) => ({
  created: 'another time',
  config: { metadata: putBackMetadata(lineageOf(copied), last, incarnation) },
});

describe('what a stream was before it came back from backups', () => {
  it('is nothing for one that never did, which is known by when it was made', () => {
    expect(lineageOf(plain)).toEqual({ incarnation: CREATED, former: [] });
  });

  it('is where a place of each incarnation is good: up to the end of the copy, of the earliest that came after it', () => {
    const lineage = lineageOf(putBack(putBack(plain, 120, 'second'), 100, 'third'));
    expect(placeNow(lineage, 'third', 500)).toBe(500);
    expect([placeNow(lineage, 'second', 90), placeNow(lineage, 'second', 110)]).toEqual([90, 100]);
    expect(placeNow(lineage, CREATED, 119)).toBe(100);
    expect(placeNow(lineage, 'a stranger', 1)).toBeUndefined();
    const grown = lineageOf(putBack(putBack(plain, 120, 'second'), 150, 'third'));
    expect([placeNow(grown, CREATED, 140), placeNow(grown, 'second', 140)]).toEqual([120, 140]);
  });

  it('leaves every message the incarnation in which it was stored', () => {
    const lineage = lineageOf(putBack(putBack(plain, 120, 'second'), 150, 'third'));
    expect([1, 120, 121, 150, 151].map((sequence) => storedIn(lineage, sequence))).toEqual([
      ...[CREATED, CREATED, 'second', 'second', 'third'],
    ]);
  });
});
