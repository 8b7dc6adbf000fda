import type { FastifyRequest } from 'fastify';
import type { Scope } from './access.ts';

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
