import { describe, expect, it } from 'vitest';
import { BEGINNING, positionOf } from '../../../src/eventstore/position.ts';
import type { FoundBy, StoredCheckpoint } from '../../../src/projections/engine/checkpoint.ts';
import type { IndexState } from '../../../src/projections/engine/lists/index-store.ts';
import { resumeAfter } from '../../../src/projections/engine/lists/resume.ts';

const KEY = '=checkpoint';

const seen = (revision: number, server: string, upTo = revision): IndexState => ({
  revision: upTo,
  position: positionOf(9),
  checkpoints: { [KEY]: { position: positionOf(9), revision, server } },
});

const now = (revision: number, ...servers: readonly FoundBy[]): ReadonlyMap<string, StoredCheckpoint> => {
  const value = {
    position: positionOf(20),
    covers: 0,
    proven: BEGINNING,
    incarnation: 'i',
    version: 'v',
    at: 0,
    servers,
  };
  return new Map([[KEY, { value, revision, position: positionOf(20) }]]);
};

const first = { id: 'first', from: 0 };

describe('an index goes on', () => {
  it('behind what it has seen, while the server servers', () => {
    expect(resumeAfter(seen(100, 'first', 120), now(150, first))).toBe(120);
  });

  it('behind the checkpoint, where it has seen more than is proven', () => {
    expect(resumeAfter(seen(100, 'first', 120), now(100, first))).toBe(100);
  });

  it('behind the checkpoint that the next server has found', () => {
    expect(resumeAfter(seen(100, 'first', 120), now(150, first, { id: 'second', from: 110 }))).toBe(110);
  });

  it('through several starts, as long as each has found what the one before had', () => {
    const servers = [first, { id: 'second', from: 110 }, { id: 'third', from: 130 }];
    expect(resumeAfter(seen(100, 'first', 120), now(150, ...servers))).toBe(110);
  });
});

describe('an index is made anew', () => {
  it.each([
    [
      'the next server has found an older checkpoint',
      seen(100, 'first'),
      now(150, first, { id: 'second', from: 90 }),
    ],
    [
      'a later server has found an older one than the one before it',
      seen(100, 'first'),
      now(150, first, { id: 'second', from: 110 }, { id: 'third', from: 105 }),
    ],
    ['the checkpoint itself is older', seen(100, 'first'), now(99, first)],
    ['its server is not known any more', seen(100, 'older'), now(150, first)],
    ['nobody says which server it was', seen(100, ''), now(150, { id: '', from: 0 })],
    ['an earlier release wrote the checkpoint', seen(100, 'first'), now(150)],
    ['it has seen no checkpoint', { revision: 5, position: undefined, checkpoints: {} }, now(150, first)],
    ['there is none any more', seen(100, 'first'), new Map([[KEY, undefined]])],
  ])('when %s', (_why, state, checkpoints) => {
    expect(resumeAfter(state, checkpoints)).toBeUndefined();
  });
});
