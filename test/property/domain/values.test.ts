import fc from 'fast-check';
import { expect, test } from 'vitest';
import { deleteKey, emptyKeyMap, getKey, type KeyMap, putKey } from '../../../src/domain/key-map.ts';
import { normaliseEmail, normaliseName, normaliseReason } from '../../../src/domain/values.ts';

const strings = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.string({ unit: 'grapheme', maxLength: 20 }),
);

test('a normalised text is its own normal form and survives UTF-8', () => {
  fc.assert(
    fc.property(strings, (input) => {
      for (const text of [normaliseName(input), normaliseReason(input)]) {
        if (text === undefined) continue;
        expect(normaliseReason(text)).toBe(text);
        expect(new TextDecoder('utf-8', { ignoreBOM: true }).decode(new TextEncoder().encode(text))).toBe(
          text,
        );
      }
    }),
    { numRuns: 1000 },
  );
});

test('every spelling of an address in other case and between blanks is the same address', () => {
  fc.assert(
    fc.property(fc.emailAddress(), fc.infiniteStream(fc.boolean()), (input, upper) => {
      const address = normaliseEmail(input);
      const spelled = Array.from(input, (c) => (upper.next().value ? c.toUpperCase() : c.toLowerCase())).join(
        '',
      );
      expect(normaliseEmail(`\t${spelled} `)).toBe(address);
      if (address !== undefined) expect(normaliseEmail(address)).toBe(address);
    }),
    { numRuns: 500 },
  );
});

test('valid addresses of the usual form are taken', () => {
  fc.assert(
    fc.property(fc.emailAddress(), (input) => {
      expect(normaliseEmail(input)).toBe(input.toLowerCase());
    }),
  );
});

test('a key map holds what a built-in map holds, and older versions of it never change', () => {
  const puts = fc.array(fc.tuple(fc.integer({ min: 0, max: 300 }), fc.nat(9)), {
    maxLength: 600,
    size: 'max',
  });
  fc.assert(
    fc.property(puts, fc.nat(600), (all, cut) => {
      const model = new Map<string, number>();
      let map: KeyMap<number> = emptyKeyMap;
      let older: { map: KeyMap<number>; json: string } | undefined;
      for (const [index, [n, value]] of all.entries()) {
        if (index === cut) older = { map, json: JSON.stringify(map) };
        map = putKey(map, `key-${n}`, value);
        model.set(`key-${n}`, value);
      }
      for (let n = 0; n <= 300; n++) expect(getKey(map, `key-${n}`)).toBe(model.get(`key-${n}`));
      if (older !== undefined) expect(JSON.stringify(older.map)).toBe(older.json);
    }),
    { numRuns: 50 },
  );
});

/** How deep every leaf is, and that no node but the root is too small or too large. */
function depthOf(map: KeyMap<unknown>, isRoot = true): number {
  expect(map.entries.length).toBeLessThanOrEqual(32);
  if (!isRoot) expect(map.entries.length).toBeGreaterThanOrEqual(8);
  const depths = new Set(map.children.map((child) => depthOf(child, false)));
  if (map.children.length > 0) expect(map.children).toHaveLength(map.entries.length + 1);
  expect(depths.size).toBeLessThanOrEqual(1);
  return 1 + (Array.from(depths)[0] ?? 0);
}

test('with puts and deletes in any order a key map holds what a built-in map holds and stays balanced', () => {
  const key = fc.integer({ min: 0, max: 400 });
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.record({ put: key, value: fc.nat(9) }) },
    { weight: 2, arbitrary: fc.record({ delete: key }) },
    { weight: 1, arbitrary: fc.record({ deleteFrom: key, count: fc.nat(120) }) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400, size: 'max' }), fc.nat(400), (steps, cut) => {
      const model = new Map<string, number>();
      let map: KeyMap<number> = emptyKeyMap;
      let older: { map: KeyMap<number>; json: string } | undefined;
      const remove = (n: number) => {
        map = deleteKey(map, `key-${n}`);
        model.delete(`key-${n}`);
      };
      for (const [index, one] of steps.entries()) {
        if (index === cut) older = { map, json: JSON.stringify(map) };
        if ('put' in one) {
          map = putKey(map, `key-${one.put}`, one.value);
          model.set(`key-${one.put}`, one.value);
        } else if ('delete' in one) remove(one.delete);
        else for (let n = one.deleteFrom; n < one.deleteFrom + one.count; n++) remove(n);
      }
      for (let n = 0; n <= 520; n++) expect(getKey(map, `key-${n}`)).toBe(model.get(`key-${n}`));
      depthOf(map);
      if (older !== undefined) expect(JSON.stringify(older.map)).toBe(older.json);
    }),
    { numRuns: 100 },
  );
});
