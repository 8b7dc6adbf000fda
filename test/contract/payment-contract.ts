import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { heldMinor, keptMinor, type LedgerEntry } from '../../src/processes/payment/adapters/ledger.ts';
import {
  type PaymentProvider,
  PaymentRefused,
  PaymentUnavailable,
} from '../../src/processes/payment/port.ts';
import { until } from '../../src/testing/until.ts';

/** Two processes' clients of one provider, and its ledger. */
export interface ProviderUnderTest {
  readonly provider: PaymentProvider;
  readonly second: PaymentProvider;
  ledger(): AsyncIterable<LedgerEntry>;
  stop(): Promise<void>;
}

const AMOUNT = 12_345_678_901_234_567n;

/** What every payment provider promises. Keys are given by the tests, so each needs an empty ledger. */
export function paymentContract(name: string, start: () => Promise<ProviderUnderTest>): void {
  describe(name, () => {
    let current: ProviderUnderTest | undefined;
    beforeAll(async () => {
      current = await start();
    });
    afterAll(async () => {
      await current?.stop();
    });
    const use = (): ProviderUnderTest => {
      if (current === undefined) throw new Error('the provider did not start');
      return current;
    };
    describe('a payment that works', () => working(use));
    describe('a payment that does not', () => failing(use));
    describe('an answer that does not come', () => silence(use));
    describe('cancelling', () => cancelling(use));
  });
}

type Use = () => ProviderUnderTest;

const create = (
  { provider }: ProviderUnderTest,
  key: string,
  token: string,
): Promise<{ paymentId: string }> =>
  provider.createIntent({ key, amountMinor: AMOUNT, currency: 'EUR', token });

async function entryOf(use: Use, key: string): Promise<LedgerEntry | undefined> {
  for await (const entry of use().ledger()) if (entry.key === key) return entry;
  return undefined;
}

function working(use: Use): void {
  it('is authorised, captured and refunded to the last minor unit, and each answer is the same when repeated', async () => {
    const { provider, second } = use();
    const { paymentId } = await create(use(), 'ok-1', 'tok_success');
    const money = { paymentId, amountMinor: AMOUNT, currency: 'EUR' };
    for (const client of [provider, second, provider]) {
      expect(await client.authorise('ok-1')).toEqual({ outcome: 'authorised', paymentId });
    }
    for (const client of [provider, second]) {
      expect(await client.capture('ok-1')).toEqual({ outcome: 'captured', ...money });
    }
    const captured = await entryOf(use, 'ok-1');
    expect(captured && [keptMinor(captured), heldMinor(captured)]).toEqual([AMOUNT, 0n]);
    for (const client of [provider, second]) expect(await client.refund('ok-1')).toEqual(money);
    const refunded = await entryOf(use, 'ok-1');
    expect(refunded && keptMinor(refunded)).toBe(0n);
    expect(refunded).toMatchObject({
      paymentId,
      attempts: 1,
      intent: { amountMinor: AMOUNT, currency: 'EUR' },
    });
  });

  it('keeps its id when the intent is made again, and refuses the same key for something else', async () => {
    const first = await create(use(), 'ok-2', 'tok_success');
    expect(await create(use(), 'ok-2', 'tok_success')).toEqual(first);
    const other = { key: 'ok-2', amountMinor: AMOUNT + 1n, currency: 'EUR', token: 'tok_success' };
    await expect(use().second.createIntent(other)).rejects.toMatchObject({
      name: 'PaymentRefused',
      code: 'intent_mismatch',
    });
  });

  it('is made once by many at the same time', async () => {
    const { provider, second } = use();
    await create(use(), 'ok-3', 'tok_success');
    const clients = [provider, second, provider, second];
    await Promise.all(clients.map((client) => client.authorise('ok-3')));
    await Promise.all(clients.map((client) => client.capture('ok-3')));
    const entry = await entryOf(use, 'ok-3');
    expect(entry && keptMinor(entry)).toBe(AMOUNT);
    expect(entry?.attempts).toBe(1);
  });
}

function failing(use: Use): void {
  const declines = {
    tok_declined: 'card_declined',
    tok_insufficient_funds: 'insufficient_funds',
    tok_x: 'invalid_token',
  };
  for (const [token, code] of Object.entries(declines)) {
    it(`is declined for good with ${code} for ${token}`, async () => {
      const key = `declined-${code}`;
      const { paymentId } = await create(use(), key, token);
      const declined = { outcome: 'declined', paymentId, code };
      expect(await use().provider.authorise(key)).toMatchObject(declined);
      expect(await use().provider.cancel(key)).toEqual({ outcome: 'cancelled', paymentId });
      expect(await use().second.authorise(key)).toMatchObject(declined);
    });
  }

  it('can be declined when it is captured, and then be cancelled', async () => {
    const { paymentId } = await create(use(), 'late-no', 'tok_capture_declined');
    const { provider } = use();
    expect(await provider.authorise('late-no')).toMatchObject({ outcome: 'authorised' });
    expect(await provider.capture('late-no')).toMatchObject({
      outcome: 'declined',
      code: 'capture_declined',
    });
    expect(await provider.cancel('late-no')).toEqual({ outcome: 'cancelled', paymentId });
    const entry = await entryOf(use, 'late-no');
    expect(entry && [keptMinor(entry), heldMinor(entry)]).toEqual([0n, 0n]);
  });

  it('refuses a call that is wrong, and says so with a code', async () => {
    const { provider } = use();
    await create(use(), 'wrong-1', 'tok_success');
    const wrong: [() => Promise<unknown>, string][] = [
      [() => provider.authorise('wrong-0'), 'intent_not_found'],
      [() => provider.capture('wrong-0'), 'intent_not_found'],
      [() => provider.capture('wrong-1'), 'not_authorised'],
      [() => provider.refund('wrong-1'), 'not_captured'],
      [() => provider.refund('wrong-0'), 'not_captured'],
      [() => provider.authorise('../wrong 2'), 'invalid_key'],
    ];
    for (const [call, code] of wrong) {
      const error: unknown = await call().catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(PaymentRefused);
      expect(error).toMatchObject({ code });
    }
  });
}

function silence(use: Use): void {
  it('takes effect all the same, and a repetition shows it (tok_timeout)', async () => {
    const { paymentId } = await create(use(), 'timeout-1', 'tok_timeout');
    await expect(use().provider.authorise('timeout-1')).rejects.toThrow(PaymentUnavailable);
    expect(await use().provider.authorise('timeout-1')).toEqual({ outcome: 'authorised', paymentId });
  });

  it('can go on for ever, and ends with a cancellation (tok_never)', async () => {
    const { provider } = use();
    await create(use(), 'never-1', 'tok_never');
    for (let i = 0; i < 3; i++)
      await expect(provider.authorise('never-1')).rejects.toThrow(PaymentUnavailable);
    expect(await provider.cancel('never-1')).toMatchObject({ outcome: 'cancelled' });
    expect(await provider.authorise('never-1')).toEqual({ outcome: 'cancelled' });
    expect(await entryOf(use, 'never-1')).not.toHaveProperty('authorisedAt');
  });

  it('ends after n tries (tok_fail_3)', async () => {
    const { provider } = use();
    await create(use(), 'fail-1', 'tok_fail_3');
    for (let i = 0; i < 3; i++)
      await expect(provider.authorise('fail-1')).rejects.toThrow(PaymentUnavailable);
    expect(await provider.authorise('fail-1')).toMatchObject({ outcome: 'authorised' });
    expect((await entryOf(use, 'fail-1'))?.attempts).toBe(4);
  });

  it('is only late for a provider that is slow, and gives up on one that is slower (tok_slow_<ms>)', async () => {
    const { provider } = use();
    await create(use(), 'slow-1', 'tok_slow_20');
    expect(await provider.authorise('slow-1')).toMatchObject({ outcome: 'authorised' });
    await create(use(), 'slow-2', 'tok_slow_600');
    await expect(provider.authorise('slow-2')).rejects.toThrow(PaymentUnavailable);
    await until(
      'the slow one took effect',
      async () => (await entryOf(use, 'slow-2'))?.authorisedAt !== undefined,
    );
    expect(await provider.authorise('slow-2')).toMatchObject({ outcome: 'authorised' });
  });

  it('is an authorisation later on, unless it is cancelled first (tok_late)', async () => {
    const { provider } = use();
    await create(use(), 'late-1', 'tok_late');
    await create(use(), 'late-2', 'tok_late');
    await expect(provider.authorise('late-2')).rejects.toThrow(PaymentUnavailable);
    expect(await provider.cancel('late-2')).toMatchObject({ outcome: 'cancelled' });
    await expect(provider.authorise('late-1')).rejects.toThrow(PaymentUnavailable);
    await until(
      'it is authorised by itself',
      async () => (await entryOf(use, 'late-1'))?.authorisedAt !== undefined,
    );
    expect(await provider.capture('late-1')).toMatchObject({ outcome: 'captured' });
    expect(await provider.authorise('late-2')).toEqual({ outcome: 'cancelled' });
    expect(await entryOf(use, 'late-2')).not.toHaveProperty('authorisedAt');
  });
}

function cancelling(use: Use): void {
  it('is final before the intent is there: a late intent and a late authorisation stay without effect', async () => {
    const { provider, second } = use();
    expect(await provider.cancel('early-1')).toEqual({ outcome: 'cancelled', paymentId: '' });
    expect(await second.authorise('early-1')).toEqual({ outcome: 'cancelled' });
    const { paymentId } = await create(use(), 'early-1', 'tok_success');
    expect(await second.authorise('early-1')).toEqual({ outcome: 'cancelled' });
    expect(await second.capture('early-1')).toEqual({ outcome: 'cancelled' });
    expect(await provider.cancel('early-1')).toEqual({ outcome: 'cancelled', paymentId });
  });

  it('releases what was authorised', async () => {
    const { provider } = use();
    await create(use(), 'void-1', 'tok_success');
    await provider.authorise('void-1');
    const before = await entryOf(use, 'void-1');
    expect(before && heldMinor(before)).toBe(AMOUNT);
    expect(await provider.cancel('void-1')).toMatchObject({ outcome: 'cancelled' });
    const after = await entryOf(use, 'void-1');
    expect(after && [heldMinor(after), keptMinor(after)]).toEqual([0n, 0n]);
  });

  it('and capturing at the same time end in exactly one of both, and everybody is told the same', async () => {
    const { provider, second } = use();
    const seen = new Set<string>();
    for (let round = 0; round < 15; round++) {
      const key = `race-${round}`;
      await create(use(), key, 'tok_success');
      await provider.authorise(key);
      const calls = [provider.capture(key), second.cancel(key)];
      const [capture, cancel] = await Promise.all(round % 2 === 0 ? calls : [...calls].reverse());
      expect(capture?.outcome).toBe(cancel?.outcome);
      seen.add(capture?.outcome ?? '');
      const entry = await entryOf(use, key);
      const both = entry?.capturedAt !== undefined && entry.cancelledAt !== undefined;
      expect(both).toBe(false);
      expect(await provider.cancel(key)).toMatchObject({ outcome: capture?.outcome });
    }
    for (const outcome of seen) expect(['captured', 'cancelled']).toContain(outcome);
  });
}
