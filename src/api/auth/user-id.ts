const PLAIN = /^[A-Za-z0-9-]+$/;
const MAX_ENCODED = 100;

/**
 * The id that stands for a token's user: letters, digits and hyphens are kept, any other byte of its UTF-8 is `_` and
 * two hexadecimal digits. What looks like an address, and what is too long, is `__` and its pseudonym instead. Two users
 * never get the same id: after `_` comes a digit of a byte or, only in the second form, another `_`.
 * @param pseudonymOf a hash under a secret key: addresses can be guessed, and a hash without one tried
 */
export function encodeUser(user: string, pseudonymOf: (user: string) => string): string {
  if (PLAIN.test(user) && user.length <= MAX_ENCODED) return user;
  const encoded = Array.from(Buffer.from(user, 'utf8'), encodeByte).join('');
  if (!user.includes('@') && encoded.length <= MAX_ENCODED) return encoded;
  return `__${pseudonymOf(user)}`;
}

function encodeByte(byte: number): string {
  const character = String.fromCharCode(byte);
  return PLAIN.test(character) ? character : `_${byte.toString(16).toUpperCase().padStart(2, '0')}`;
}

/**
 * The aggregate of a token's user. The first is the encoded user itself; an abandoned registration bars its id for
 * ever (protocol 4), so that the next attempt goes to the next one.
 */
export function ownUserId(encoded: string, generation: number): string {
  return generation === 0 ? encoded : `${encoded}__${generation}`;
}

/** Whether a user id is one of a token's user. */
export function isOwnUserId(encoded: string, userId: string): boolean {
  if (!userId.startsWith(encoded)) return false;
  return /^(__[1-9][0-9]?)?$/.test(userId.slice(encoded.length));
}
