import type { UseCaseRejection } from './use-cases.ts';

/** The answer to somebody who cannot have an address. It does not say who has it. */
export function emailTaken(why: 'taken' | 'busy' | 'ended'): UseCaseRejection<'user/email-taken'> {
  return {
    code: 'user/email-taken',
    message:
      why === 'taken'
        ? 'This e-mail address is in use; choose another one.'
        : 'This e-mail address is being registered at the moment; try again in a few seconds.',
  };
}
