import type { Consumer, Policy } from './consumer.ts';
import type { Decode } from './deliver.ts';
import type { EngineObserver, Outcome, Work } from './observer.ts';

/** What came of one try: handled, try again, put aside, or stop the consumer. */
export type Tried =
  | { readonly handled: true }
  | { readonly retryAfterMs: number; readonly error: unknown }
  | { readonly park: unknown }
  | { readonly stop: unknown };

/** Tries a commit once; never rejects. */
export type Handle = (work: Work) => Promise<Tried>;

/** Decodes, handles, and asks the policy when that fails. */
export function createHandle(deps: {
  consumer: Consumer;
  decode: Decode;
  policy: Policy;
  observer: EngineObserver | undefined;
  /** Told of every error. */
  failed: (error: unknown) => void;
}): Handle {
  const { consumer, decode, policy, observer, failed } = deps;
  return async (work) => {
    const { commit, attempt, redriven } = work;
    const tell = (outcome: Outcome, error?: unknown): void => observer?.outcome?.(work, outcome, error);
    const handle = async (): Promise<void> => consumer.handle(decode(commit, { attempt, redriven }));
    try {
      await (observer?.around === undefined ? handle() : observer.around(work, handle));
      tell('handled');
      return { handled: true };
    } catch (error) {
      failed(error);
      const verdict = policy(error, attempt);
      if (verdict.action === 'retry') {
        tell('retried', error);
        return { retryAfterMs: verdict.afterMs, error };
      }
      if (verdict.action === 'stop') {
        tell('stopped', error);
        return { stop: error };
      }
      tell('parked', error);
      return { park: error };
    }
  };
}
