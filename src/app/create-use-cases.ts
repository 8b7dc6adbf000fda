import { email } from '../domain/email.ts';
import { createChangeEmail } from './change-email.ts';
import { createEmailClaims } from './claims.ts';
import { createForget } from './forget.ts';
import { createPlaceOrder } from './place-order.ts';
import { createRegister } from './register.ts';
import type { UseCaseDeps, UseCases } from './use-cases.ts';

/** Builds the use cases. They keep nothing between calls, so that every process may run the next step of any. */
export function createUseCases(deps: UseCaseDeps): UseCases {
  const claims = createEmailClaims(deps);
  return {
    register: createRegister(deps, claims),
    changeEmail: createChangeEmail(deps, claims),
    holderOfEmail: async (address) => {
      const { state } = await deps.handler.load(email, deps.emailKey.idOf(address));
      return state.status === 'claimed' ? state.claim.userId : undefined;
    },
    abandonStaleClaim: claims.abandonStale,
    ...createForget(deps),
    placeOrder: createPlaceOrder(deps),
  };
}
