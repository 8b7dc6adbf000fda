import type { EmailKey } from '../../../src/app/email-key.ts';
import { email } from '../../../src/domain/email.ts';
import { loadAt } from '../../../src/eventstore/fold.ts';
import { type MemoryStore, openMemoryLog } from '../../../src/testing/memory-log.ts';
import { ownersOf } from './email-invariants.ts';
import { ADDRESSES } from './email-scenario.ts';

/**
 * Fires the timer of every address once nothing is under way any more.
 * @param settle looks at a claim until there is nothing left to do; false when it gave up
 * @returns which addresses are still claimed by somebody who does not own them, as sentences
 */
export async function clearStaleClaims(
  store: MemoryStore,
  key: EmailKey,
  settle: (emailId: string) => Promise<boolean>,
): Promise<string[]> {
  const left: string[] = [];
  for (const address of ADDRESSES) {
    const emailId = key.idOf(address);
    if (!(await settle(emailId))) continue;
    const { state } = await loadAt(openMemoryLog(store), email, emailId, {});
    if (state.status !== 'claimed' || ownersOf(store, address).includes(state.claim.userId)) continue;
    left.push(`${address} is still claimed by ${state.claim.userId}, who does not own it`);
  }
  return left;
}
