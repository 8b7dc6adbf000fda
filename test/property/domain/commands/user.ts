import fc from 'fast-check';
import type { UserCommand } from '../../../../src/domain/user.ts';
import { address, at, attempt, beginning, is, name, reason, sequence } from '../arbitraries.ts';
/** Commands for one user; the first often registers it. */
export const commands: fc.Arbitrary<UserCommand[]> = (() => {
  const register = fc.record({
    type: is('register'),
    userId: is('u1'),
    email: address,
    name,
    emailAttempt: attempt,
    at,
  });
  const later = sequence<UserCommand>(
    register,
    fc.record({ type: is('abandonRegistration'), userId: is('u1'), emailAttempt: attempt, at }),
    fc.record({ type: is('rename'), name, at }),
    fc.record({ type: is('startEmailChange'), attempt, email: address, at }),
    fc.record({ type: is('startEmailChange'), attempt, email: address, at }),
    fc.record({ type: is('completeEmailChange'), attempt, at }),
    fc.record({ type: is('completeEmailChange'), attempt, at }),
    fc.record({ type: is('abandonEmailChange'), attempt, reason, at }),
    fc.record({ type: is('deactivate'), reason, at }),
    fc.record({ type: is('reactivate'), at }),
    fc.record({ type: is('requestForgetting'), reason, dueAt: at, at }),
    fc.record({ type: is('callOffForgetting'), at }),
    fc.record({
      type: is('forget'),
      claims: fc.array(fc.record({ emailId: attempt, attempt }), { maxLength: 2 }),
      at,
    }),
    fc.record({ type: is('recordErased'), at }),
  );
  return beginning(register, later);
})();
