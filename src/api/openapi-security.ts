import { type Access, scopesOf } from './auth/access.ts';

/** How callers show who they are, for the document. */
export const SECURITY_SCHEMES = {
  bearer: {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'JWT',
    description:
      'A token of the configured issuer. Its scopes open the routes: `users` the own user, `orders` the own orders, `catalogue` the products, `admin` everything. Where authentication is switched off (development and test only) none is needed.',
  },
} as const;

/** The security of an operation: one of the scopes is enough; none at all is needed for a public one. */
export function securityOf(access: Access): { bearer: string[] }[] {
  return (scopesOf(access) ?? []).map((scope) => ({ bearer: [scope] }));
}
