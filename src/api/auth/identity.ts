import type { FastifyRequest } from 'fastify';
import type { Scope } from './access.ts';

/** What a token turned out to be. */
export type Verdict =
  | {
      readonly outcome: 'verified';
      /** The claim that names the user, as it is. */
      readonly user: string;
      readonly scopes: readonly string[];
      /** In milliseconds since the Unix epoch. */
      readonly expiresAt: number;
    }
  /** `why` is for the client: one sentence without anything of the token in it. */
  | { readonly outcome: 'refused'; readonly why: string }
  /** The keys cannot be fetched, so that nobody knows. */
  | { readonly outcome: 'unavailable' };

/** Verifies bearer tokens. Never throws for what a client sends. */
export interface Authenticator {
  verify(token: string): Promise<Verdict>;
}

/** Off: everybody may do everything; never in production. */
export type Authentication = Authenticator | 'off';

/** Who asks, by a token that was verified. */
export interface Identity {
  /** The token's user, encoded as an id. */
  readonly principal: string;
  readonly scopes: ReadonlySet<Scope>;
  /** When the token ends, in milliseconds since the Unix epoch. */
  readonly expiresAt: number;
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Null without a verified token. */
    identity: Identity | null;
  }
}

/** The user that a caller is confined to, as an encoded id; undefined for an admin, and where authentication is off. */
export function confinedTo(request: FastifyRequest): string | undefined {
  const { identity } = request;
  return identity === null || identity.scopes.has('admin') ? undefined : identity.principal;
}

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
