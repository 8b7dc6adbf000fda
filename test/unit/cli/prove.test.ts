import { Buffer } from 'node:buffer';
import { describe, expect, it } from 'vitest';
import { createFinder } from '../../../src/cli/prove/finder.ts';
import { type Needle, needlesOfBytes, needlesOfText, objectionTo } from '../../../src/cli/prove/needles.ts';
import { createSearch } from '../../../src/cli/prove/search.ts';

const NAME = 'Ágnes "Örs" O’Hara';
const ADDRESS = 'Agnes.Hara+x@Example.com';

/** What is found in texts or bytes, one place each. */
function foundIn(needles: readonly Needle[], ...places: readonly (string | Uint8Array)[]): readonly string[] {
  const search = createSearch(needles);
  for (const [index, place] of places.entries())
    search.enter(() => String(index)).look(typeof place === 'string' ? Buffer.from(place) : place);
  return search.found().map(({ what, where }) => `${where}: ${what}`);
}

/** Repeats itself for each seed, and holds every byte. */
function noise(seed: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0, state = seed; at < length; at++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    bytes[at] = state >>> 16;
  }
  return bytes;
}

describe('what is looked for of a text', () => {
  it.each([
    ['as it is', NAME],
    ['in lower case', NAME.toLowerCase()],
    ['in upper case', NAME.toUpperCase()],
    ['decomposed', NAME.normalize('NFD')],
    ['in JSON', JSON.stringify({ name: NAME })],
    ['in JSON of ASCII', '{"name":"\\u00C1gnes \\"\\u00d6rs\\" O\\u2019Hara"}'],
    ['in a URL', `/users?name=${encodeURIComponent(NAME)}`],
    ['in hexadecimal', Buffer.from(`x${NAME}y`).toString('hex').toUpperCase()],
    ['in hexadecimal of lower case', Buffer.from(NAME.toLowerCase()).toString('hex')],
  ])('is found %s', (_, text) => {
    expect(foundIn(needlesOfText('value 1', NAME), `before ${text} after`).length).toBeGreaterThan(0);
  });

  it.each([0, 1, 2, 3])('is found in base64 of both alphabets behind %i other bytes', (before) => {
    for (const alphabet of ['base64', 'base64url'] as const) {
      for (const text of [ADDRESS, ADDRESS.toLowerCase(), '~~~???ÿÿ~~~']) {
        const around = Buffer.concat([noise(before, before), Buffer.from(text), Buffer.from('after')]);
        const needles = needlesOfText('value 1', text);
        expect(foundIn(needles, `"${around.toString(alphabet)}"`)).toEqual(['0: value 1, in base64']);
      }
    }
  });

  it('is not found in what only resembles it, nor in other bytes', () => {
    const needles = [...needlesOfText('value 1', ADDRESS), ...needlesOfText('value 2', NAME)];
    expect(foundIn(needles, 'agnes.hara@example.com', 'Agnes Ors O’Hara', noise(7, 4_000_000))).toEqual([]);
  });

  it('is refused where it would be found by chance', () => {
    expect(objectionTo('Ada')).toContain('less than 5 bytes');
    expect(objectionTo('10115')).toContain('found everywhere');
    expect([ADDRESS, 'Örs X', '+49 30 12345'].map(objectionTo)).toEqual([undefined, undefined, undefined]);
  });
});

describe('a search', () => {
  const key = noise(3, 60);

  it('finds what is cut anywhere between two chunks', () => {
    const needles = [...needlesOfText('value 1', ADDRESS), ...needlesOfBytes('key 1', key)];
    const bytes = Buffer.concat([noise(1, 50), Buffer.from(ADDRESS), key, noise(2, 50)]);
    for (let cut = 0; cut <= bytes.length; cut++) {
      const search = createSearch(needles);
      const place = search.enter(() => 'here');
      place.look(bytes.subarray(0, cut));
      place.look(bytes.subarray(cut));
      const found = search.found().map(({ what, count }) => `${what}: ${count}`);
      const both = ['value 1, as it is: 1', 'key 1, as it is: 1'];
      expect([cut, found, search.bytes]).toEqual([cut, both, bytes.length]);
    }
  });

  it('does not join the end of one place to the beginning of the next', () => {
    expect(foundIn(needlesOfText('value 1', ADDRESS), 'Agnes.Hara', '+x@Example.com')).toEqual([]);
  });

  it('tells a place once, counts all, tells the first, and never the value', () => {
    const search = createSearch(needlesOfText('value 1', ADDRESS));
    for (let n = 0; n < 250; n++)
      search.enter(() => `place ${n}`).look(Buffer.from(`${ADDRESS} ${ADDRESS.toUpperCase()}`));
    const places = Array.from({ length: 10 }, (_, n) => `place ${n}`);
    expect(search.found()).toEqual([{ what: 'value 1, as it is', count: 250, where: places }]);
    expect(JSON.stringify(search.found()).toLowerCase()).not.toContain('hara');
  });

  it('tells digests that may stay apart from what must not be there', () => {
    const search = createSearch(needlesOfBytes('digest', key, 'keyed'));
    search.enter(() => 'here').look(Buffer.from(key.toString('base64')));
    expect(search.found()).toEqual([]);
    expect(search.left()).toEqual([{ what: 'digest, in base64', count: 1, where: ['here'] }]);
  });
});

it('a finder finds every sequence at every place that a search for each of them finds', () => {
  const sequences = ['abab', 'babab', 'baba', 'abca', 'cabacab', 'abababab'].map((text) => Buffer.from(text));
  const text = Buffer.from(noise(11, 5_000).map((byte) => 97 + (byte % 3)));
  for (const foldCase of [false, true]) {
    const counts = sequences.map(() => 0);
    const shown = foldCase ? Buffer.from(text.toString().toUpperCase()) : text;
    createFinder(sequences, foldCase).begin()(shown, (number) => {
      counts[number] = (counts[number] ?? 0) + 1;
    });
    expect(counts).toEqual(sequences.map((sequence) => occurrences(text, sequence)));
  }
});

function occurrences(bytes: Buffer, sequence: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(sequence); at >= 0; at = bytes.indexOf(sequence, at + 1)) count++;
  return count;
}
