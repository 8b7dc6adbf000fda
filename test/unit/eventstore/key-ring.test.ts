import { expect, it } from 'vitest';
import { KeyRing, type PersonKeys } from '../../../src/eventstore/personal/keys.ts';

/** Keys of persons by how long each may be used, the first time and later; asking takes 5 ms. */
function ringOf(leases: Readonly<Record<string, readonly [first: number, later: number]>>) {
  let now = 0;
  const asked: (readonly string[])[] = [];
  const seen = new Set<string>();
  const keys: PersonKeys = {
    keysOf: async (persons) => {
      asked.push(persons);
      const from = now;
      now += 5;
      return new Map(
        persons.map((person) => {
          const [first, later] = leases[person] ?? [0, 0];
          const until = from + (seen.has(person) ? later : first);
          seen.add(person);
          return [person, { number: 1, key: new Uint8Array(32), until }] as const;
        }),
      );
    },
  };
  return { ring: new KeyRing(keys, { now: () => now }), asked };
}

it('a key whose lease ends while those of others come is asked for again', async () => {
  const { ring, asked } = ringOf({ ada: [3, 2_000], bob: [2_000, 2_000] });
  await ring.fetch({ persons: new Set(['ada', 'bob']), how: 'read' });
  expect(asked).toEqual([['ada', 'bob'], ['ada']]);
  expect([ring.get('ada'), ring.get('bob')]).toEqual([
    expect.objectContaining({ number: 1 }),
    expect.objectContaining({ number: 1 }),
  ]);
});

it('keys that come too late twice are unavailable, and nobody asks for ever', async () => {
  const { ring, asked } = ringOf({ ada: [3, 3] });
  await expect(ring.fetch({ persons: new Set(['ada']), how: 'read' })).rejects.toMatchObject({
    code: 'keys/unavailable',
  });
  expect(asked.length).toBe(2);
});

it('a key that the process has is used without asking, as long as its lease lasts', () => {
  let now = 0;
  const key = { number: 1, key: new Uint8Array(32), until: 2_000 };
  const keysOf = async () => Promise.reject(new Error('somebody asks'));
  const atHand = () => (now < key.until ? key : undefined);
  const ring = new KeyRing({ keysOf, atHand }, { now: () => now });
  expect(ring.get('ada')).toBe(key);
  now = 2_000;
  expect(ring.get('ada')).toBeUndefined();
});
