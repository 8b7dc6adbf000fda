// Besides control characters, the two separators that end a line in some programs and not in others.
const UNPRINTABLE = /[\p{Cc}\p{Zl}\p{Zp}]/u;

/** The longest name of a user or product, in characters (Unicode code points). */
export const MAX_NAME_LENGTH = 200;

/** The longest reason given for a deactivation or cancellation, in characters. */
export const MAX_REASON_LENGTH = 500;

/**
 * A name as it is stored: in Unicode form NFC, without blanks at its ends.
 * Undefined when nothing is left, when it is longer than 200 characters, or when it holds a control character.
 */
export function normaliseName(input: string): string | undefined {
  const name = normaliseLine(input, MAX_NAME_LENGTH);
  return name === '' ? undefined : name;
}

/** A reason as it is stored: like a name, but up to 500 characters and possibly empty. */
export function normaliseReason(input: string): string | undefined {
  return normaliseLine(input, MAX_REASON_LENGTH);
}

function normaliseLine(input: string, maxLength: number): string | undefined {
  // A lone surrogate has no UTF-8: the stored bytes would read back as another text than the one decided on.
  if (!input.isWellFormed() || UNPRINTABLE.test(input)) return undefined;
  const line = input.normalize('NFC').trim();
  return Array.from(line).length <= maxLength ? line : undefined;
}
