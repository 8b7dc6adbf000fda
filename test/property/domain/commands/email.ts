import fc from 'fast-check';
import type { EmailCommand } from '../../../../src/domain/email.ts';
import { at, attempt, is, sequence, userId } from '../arbitraries.ts';
/** Commands for one address, from two users with three attempts each. */
export const commands: fc.Arbitrary<EmailCommand[]> = sequence<EmailCommand>(
  fc.record({ type: is('claim'), userId, attempt, at }),
  fc.record({ type: is('release'), userId, attempt, at }),
);
