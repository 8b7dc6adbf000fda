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
      return count > where.length ? [...lines, `${word}  ${what}: ${count} places in all`] : lines;
    });
  const kept = left.map(
    ({ what, count, where }) => `kept      ${what}: ${count} places, the first is ${where[0] ?? ''}`,
  );
  const looked = searched.map(
    ({ name, count, unit, bytes: each }) => `searched  ${name.padEnd(24)} ${count} ${unit}, ${size(each)}`,
  );
  const missed = unsearched.map((what) => `missed    ${what}`);
  const lines = [...shown('found   ', found), ...kept, ...looked, ...missed];
  const of = `of ${user}, ${values} values and ${keys} keys, in ${size(bytes)}`;
  const places = found.reduce((sum, { count }) => sum + count, 0);
  if (places > 0) return [...lines, `Found ${of}: ${places} places. Something is left.`];
  if (unsearched.length > 0) return [...lines, `Nothing was found ${of}, and not everything was searched.`];
  return [...lines, `Nothing was found ${of}.`];
}
