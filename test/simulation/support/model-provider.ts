import {
  type AuthoriseResult,
  type CancelResult,
  type CaptureResult,
  type PaymentIntent,
  type PaymentProvider,
  PaymentUnavailable,
  type RefundResult,
} from '../../../src/processes/payment/port.ts';
import type { World } from '../../../src/testing/world.ts';

/** What the provider has written down about a key. */
interface Entry {
  intent: PaymentIntent | undefined;
  status: 'open' | 'authorised' | 'declined' | 'captured' | 'cancelled' | 'refunded';
}

/** A payment provider with a ledger of its own, which no crash of the service touches. */
export interface ModelProvider {
  /** As one process reaches it: calls get lost, or their answers, or take long. */
  reachedBy(actor: string): PaymentProvider;
  /** Captured minus refunded, in minor units. */
  kept(key: string): bigint;
  /** Whether it was ever captured. */
  wasCaptured(key: string): boolean;
  /** Whether money is set aside that was neither taken nor given up. */
  holds(key: string): boolean;
}

const LOST = 0.1;
const SLOW = 0.15;
const SLOWEST_MS = 20_000;
const USUAL_MS = 50;

/** @param cancelIsFinal false plants the fault of protocol 11: cancelling what is not authorised yet leaves no trace */
export function createModelProvider(world: World, cancelIsFinal = true): ModelProvider {
  const ledger = new Map<string, Entry>();
  const entryOf = (key: string): Entry => {
    const entry = ledger.get(key) ?? { intent: undefined, status: 'open' };
    ledger.set(key, entry);
    return entry;
  };
  const idOf = (key: string) => `pay-${key}`;
  const moneyOf = (key: string, { intent }: Entry): RefundResult => {
    if (intent === undefined) throw new Error(`nothing was ever asked under ${key}`);
    return { paymentId: idOf(key), amountMinor: intent.amountMinor, currency: intent.currency };
  };

  const isMute = (key: string) => ledger.get(key)?.intent?.token === 'mute';

  const rules = {
    createIntent: (intent: PaymentIntent) => {
      const entry = entryOf(intent.key);
      entry.intent ??= intent;
      return { paymentId: idOf(intent.key) };
    },
    authorise: (key: string): AuthoriseResult => {
      const entry = entryOf(key);
      const paymentId = idOf(key);
      if (entry.status === 'cancelled') return { outcome: 'cancelled' };
      if (entry.status === 'open')
        entry.status = entry.intent?.token === 'declined' ? 'declined' : 'authorised';
      return entry.status === 'declined'
        ? { outcome: 'declined', paymentId, code: 'declined', message: 'The card was declined.' }
        : { outcome: 'authorised', paymentId };
    },
    capture: (key: string): CaptureResult => {
      const entry = entryOf(key);
      if (entry.status === 'cancelled') return { outcome: 'cancelled' };
      if (entry.intent?.token === 'broke' || entry.status === 'open' || entry.status === 'declined')
        return { outcome: 'declined', code: 'no-funds', message: 'There is no money.' };
      if (entry.status === 'authorised') entry.status = 'captured';
      return { outcome: 'captured', ...moneyOf(key, entry) };
    },
    cancel: (key: string): CancelResult => {
      const entry = entryOf(key);
      if (entry.status === 'captured' || entry.status === 'refunded') return { outcome: 'captured' };
      const paymentId = entry.intent === undefined ? '' : idOf(key);
      if (cancelIsFinal || entry.status !== 'open') entry.status = 'cancelled';
      return { outcome: 'cancelled', paymentId };
    },
    refund: (key: string): RefundResult => {
      const entry = entryOf(key);
      if (entry.status === 'captured') entry.status = 'refunded';
      return moneyOf(key, entry);
    },
  };

  /** A request may be lost, take effect late, or take effect with a lost answer; a caller that died hears nothing. */
  function reach<Result>(actor: string, label: string, effect: () => Result, mute = false): Promise<Result> {
    const travel = () => Math.floor(world.random() * (world.random() < SLOW ? SLOWEST_MS : USUAL_MS));
    const answer = new Promise<Result>((resolve, reject) => {
      const lose = () => world.later(`${label} lost`, travel(), () => reject(new PaymentUnavailable(label)));
      if (world.random() < LOST) return lose();
      world.later(label, travel(), () => {
        const result = effect();
        if (mute || world.random() < LOST) return lose();
        world.later(`${label} answered`, travel(), () => resolve(result));
      });
    });
    return answer.finally(() => world.step(`hears of ${label}`, actor));
  }

  return {
    reachedBy: (actor) => ({
      createIntent: (intent) => reach(actor, 'create intent', () => rules.createIntent(intent)),
      authorise: (key) => reach(actor, 'authorise', () => rules.authorise(key), isMute(key)),
      capture: (key) => reach(actor, 'capture', () => rules.capture(key)),
      cancel: (key) => reach(actor, 'cancel', () => rules.cancel(key)),
      refund: (key) => reach(actor, 'refund', () => rules.refund(key)),
    }),
    kept: (key) => {
      const entry = ledger.get(key);
      return entry?.status === 'captured' ? moneyOf(key, entry).amountMinor : 0n;
    },
    wasCaptured: (key) => ['captured', 'refunded'].includes(ledger.get(key)?.status ?? ''),
    holds: (key) => ledger.get(key)?.status === 'authorised',
  };
}
