import { size } from '../command.ts';
import type { Proof } from './prove.ts';

/** A proof for people: what was found first, the sentence that says it all last. */
export function linesOfProof({
  user,
  values,
  keys,
  searched,
  bytes,
  found,
  left,
  unsearched,
}: Proof): string[] {
  const shown = (word: string, finds: Proof['found']): string[] =>
    finds.flatMap(({ what, count, where }) => {
      const lines = where.map((place) => `${word}  ${what}: ${place}`);
      return count > where.length ? [...lines, `${word}  ${what}: ${counted(count, 'place')} in all`] : lines;
    });
  const kept = left.map(
    ({ what, count, where }) => `kept      ${what}: ${counted(count, 'place')}, first in ${where[0] ?? ''}`,
  );
  const looked = searched.map(
    ({ name, count, unit, bytes: each }) => `searched  ${name.padEnd(24)} ${count} ${unit}, ${size(each)}`,
  );
  const missed = unsearched.map((what) => `missed    ${what}`);
  const lines = [...shown('found   ', found), ...kept, ...looked, ...missed];
  const of = `of ${user}: ${counted(values, 'value')} and ${counted(keys, 'key')}, looked for in ${size(bytes)}`;
  const places = found.reduce((sum, { count }) => sum + count, 0);
  if (places > 0) return [...lines, `Something is left ${of}, found in ${counted(places, 'place')}.`];
  if (unsearched.length > 0) return [...lines, `Nothing was found ${of}; not everything was searched.`];
  return [...lines, `Nothing was found ${of}.`];
}

const counted = (count: number, word: string): string => `${count} ${word}${count === 1 ? '' : 's'}`;
