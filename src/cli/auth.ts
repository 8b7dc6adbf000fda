import type { Logger } from 'pino';
import type { Authentication } from '../api/auth/authenticator.ts';
import { createTokenVerifier } from '../platform/auth/verifier.ts';
import type { Config } from '../platform/config/schema.ts';

const OFF =
  'AUTHENTICATION IS OFF: everybody who reaches this port may do everything. Production refuses to start like this; ' +
  'docs/security.md says how to switch it on.';

/**
 * Who verifies the tokens of this process; the rules of the configuration keep production from having nobody.
 * @throws KeyFileUnusable
 */
export function openAuthentication({ auth }: Config, logger: Logger): Authentication {
  if (auth.enabled) return createTokenVerifier(auth);
  logger.warn(OFF);
  return 'off';
}
