/** What was asked for cannot be made; the message says how it could. */
export class CannotMake extends Error {}

const WORD = /^[a-z][a-z0-9]{1,30}$/;
const RESERVED = new Set([
  'fence',
  'marks',
  'test',
  'new',
  'class',
  'default',
  'delete',
  'export',
  'function',
  'import',
]);

/** A name that is good for files, subjects, protobuf packages and identifiers alike. @throws CannotMake */
export function checkName(what: string, name: string): string {
  if (!WORD.test(name) || RESERVED.has(name))
    throw new CannotMake(
      `${JSON.stringify(name)} is no name of ${what}: take one word of a to z and digits, for example invoice.`,
    );
  return name;
}

/** `invoice` as more than one: `invoices`. */
export function pluralOf(word: string): string {
  if (/[^aeiou]y$/.test(word)) return `${word.slice(0, -1)}ies`;
  return /(s|x|z|ch|sh)$/.test(word) ? `${word}es` : `${word}s`;
}

/** `a` or `an`, by the word's first letter. */
export const article = (word: string): string => (/^[aeiou]/.test(word) ? 'an' : 'a');

const capital = (word: string): string => word.charAt(0).toUpperCase() + word.slice(1);

/**
 * A text in which a word has become another, as a whole and within identifiers: `task`, `Task`, `TASK`, `tasks`, `Tasks`,
 * and `a task` with the article that the new word has.
 */
export function renamed(text: string, from: string, to: string): string {
  if (from === to) return text;
  return text
    .replaceAll(
      new RegExp(`\\b([Aa])n?(?= ${from}\\b)`, 'g'),
      (_all, a: string) => `${a}${article(to).slice(1)}`,
    )
    .replaceAll(pluralOf(from), pluralOf(to))
    .replaceAll(capital(pluralOf(from)), capital(pluralOf(to)))
    .replaceAll(from, to)
    .replaceAll(capital(from), capital(to))
    .replaceAll(from.toUpperCase(), to.toUpperCase());
}

/** `open-invoices` as an identifier: `openInvoices`. */
export const identifierOf = (name: string): string =>
  name.replace(/-([a-z0-9])/g, (_all, c: string) => c.toUpperCase());
