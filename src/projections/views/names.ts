import { behindPrefix, type Digest } from '../engine/index.ts';

/**
 * A name as it is compared: case and composition of letters do not matter. Upper case first, for letters that have one
 * lower case and two upper ones (ß); a sigma is written differently where a word ends, which a prefix does anywhere.
 */
export function folded(name: string): string {
  const lower = name.toWellFormed().normalize('NFC').toUpperCase().toLowerCase();
  return lower.replaceAll('ς', 'σ').normalize('NFC');
}

/** The folded names that begin like this: from the first, and below which. */
export function namesFrom(prefix: string): { readonly from: string; readonly below: string | undefined } {
  const from = folded(prefix);
  return { from, below: behindPrefix(from) };
}

/** How many characters of a name can be asked for by digest. More digests of a name tell more of it. */
const DIGESTED = [2, 3, 4, 5, 6, 8] as const;

/** The fewest characters of a personal name that can be asked for. */
export const LEAST_NAME_PREFIX = DIGESTED[0];

/** Whether personal names can be asked for by this beginning. */
export function isNamePrefix(prefix: string): boolean {
  return Array.from(folded(prefix)).length >= LEAST_NAME_PREFIX;
}

/** What a personal name is found by: digests of how it begins, since files hold no names. */
export function nameDigests(name: string, digest: Digest): readonly string[] {
  const characters = Array.from(folded(name));
  return DIGESTED.filter((length) => length <= characters.length).map((length) =>
    digest(characters.slice(0, length).join('')),
  );
}

/** The digest by which names that begin like this are found, with others where more was asked than is digested. */
export function prefixDigest(prefix: string, digest: Digest): string | undefined {
  const characters = Array.from(folded(prefix));
  const length = DIGESTED.findLast((one) => one <= characters.length);
  return length === undefined ? undefined : digest(characters.slice(0, length).join(''));
}
