import type { FastifyRequest } from 'fastify';

/** What a token can allow, and what each scope opens; `admin` includes the others and reaches every user's data. */
export const SCOPES = {
  users: 'the own user',
  orders: 'the own orders',
  catalogue: 'the products',
  admin: 'everything',
} as const;
export type Scope = keyof typeof SCOPES;

/**
 * What of a request must be the caller's own, unless it is an admin's: what it creates is itself; the user or the
 * order of the path, the user that the body or the query names. What is foreign is answered like what is missing.
 */
export type Own = 'itself' | 'user' | 'order' | 'user in body' | 'user in query';

/** Who may call a route with a token. */
export interface TokenAccess {
  /** One of them is enough; `admin` always is. */
  readonly scopes: readonly Scope[];
  readonly own?: Own;
}

/** Who may call a route. `public`: everybody, without a token, and without limits of pace or load. */
export type Access = 'public' | TokenAccess;

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Every route declares it; one without stops the start. */
    access?: Access;
    /** The answer tells whether somebody else has an e-mail address; `http.addressLimit` bounds how often. */
    tellsAddress?: boolean;
    /** The answer goes on for as long as the caller likes; it ends with the token at the latest. */
    live?: boolean;
  }
}

/** The ways into the service; docs/security.md lists who may call what. */
export const ACCESS = {
  public: 'public',
  /** The caller creates itself; an admin creates others. */
  register: { scopes: ['users'], own: 'itself' },
  ownUser: { scopes: ['users'], own: 'user' },
  ordersOfOwnUser: { scopes: ['orders'], own: 'user' },
  readCatalogue: { scopes: ['catalogue', 'orders'] },
  changeCatalogue: { scopes: ['catalogue'] },
  /** What happened to a product names orders. */
  catalogueHistory: { scopes: ['catalogue'] },
  placeOrder: { scopes: ['orders'], own: 'user in body' },
  ownOrder: { scopes: ['orders'], own: 'order' },
  ordersOfUserInQuery: { scopes: ['orders'], own: 'user in query' },
  admin: { scopes: ['admin'] },
} as const satisfies Readonly<Record<string, Access>>;

/** The scopes of which a caller needs one; undefined where none is needed. */
export function scopesOf(access: Access): readonly Scope[] | undefined {
  if (access === 'public') return undefined;
  return access.scopes.includes('admin') ? access.scopes : [...access.scopes, 'admin'];
}

/** Whether a string names a scope. */
export function isScope(value: string): value is Scope {
  return Object.hasOwn(SCOPES, value);
}

/** Who may call the route of a request; what declares nothing, and what is no route, is closed. */
export function accessOf(request: FastifyRequest): Access {
  return request.routeOptions.config?.access ?? ACCESS.admin;
}
