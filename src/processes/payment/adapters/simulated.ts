import {
  type Bucket,
  backoffMs,
  createBoundedCache,
  EventStoreError,
  LogUnavailable,
  OutcomeUnknown,
  type Runtime,
} from '../../../eventstore/index.ts';
import { type AuthoriseResult, type PaymentProvider, PaymentRefused, PaymentUnavailable } from '../port.ts';
import {
  authorising,
  cancelling,
  capturing,
  creating,
  decodeEntry,
  encodeEntry,
  type LedgerEntry,
  type Rule,
  refunding,
  settled,
} from './ledger.ts';

export interface SimulatedProviderOptions {
  /** The provider's ledger, one row for each key. It must keep what it acknowledged. */
  readonly bucket: Bucket;
  readonly runtime: Runtime;
  /** How long a caller waits for an answer that does not come, in milliseconds. */
  readonly answerTimeoutMs?: number;
  /** After how many milliseconds `tok_late` is authorised by itself. */
  readonly lateMs?: number;
}

/** A payment provider for development and tests, which does what the test token of an intent says. */
export interface SimulatedProvider extends PaymentProvider {
  /** What the provider knows of every key, as of now. @throws LogUnavailable */
  ledger(): AsyncIterable<LedgerEntry>;
}

/** An entry as this process last stored or read it. */
interface Known {
  readonly entry: LedgerEntry | undefined;
  readonly revision: number;
}

const ABSENT: Known = { entry: undefined, revision: 0 };
/** Payments that are under way in a process, and more. */
const MOST_KNOWN = 10_000;
const MAX_TRIES = 20;
const BACKOFF_BASE_MS = 2;
const BACKOFF_CAP_MS = 200;

/**
 * Plays the provider. Its ledger stands in a bucket and every step is one conditional write, so that several processes
 * share it, a crash loses nothing, and of a capture and a cancellation at the same time exactly one happens.
 */
export function createSimulatedProvider(options: SimulatedProviderOptions): SimulatedProvider {
  const { bucket, runtime, answerTimeoutMs = 1_000, lateMs = 2_000 } = options;
  const known = createBoundedCache<Known>(MOST_KNOWN);

  async function read(key: string): Promise<Known> {
    const row = await bucket.get(key, { leader: true });
    return row === undefined ? ABSENT : { entry: decodeEntry(row.value), revision: row.revision };
  }

  async function store(key: string, entry: LedgerEntry, expectedRevision: number): Promise<boolean> {
    known.delete(key);
    const result = await bucket.write({ key, value: encodeEntry(entry), expectedRevision });
    if (result.written) known.set(key, { entry, revision: result.revision });
    return result.written;
  }

  async function attempt<Answer>(key: string, rule: Rule<Answer>): Promise<{ answer: Answer } | undefined> {
    const { entry: before, revision } = await read(key);
    const { entry, answer } = rule(before, runtime.now());
    return entry === before || (await store(key, entry, revision)) ? { answer } : undefined;
  }

  /** On the entry as it was last known, which only a write can prove: what would be said without one is read first. */
  async function attemptOnKnown<Answer>(key: string, rule: Rule<Answer>) {
    const { entry: before, revision } = known.get(key) ?? ABSENT;
    const ruling = unlessRefused(() => rule(before, runtime.now()));
    if (ruling === undefined || ruling.entry === before) return attempt(key, rule);
    return (await store(key, ruling.entry, revision)) ? { answer: ruling.answer } : undefined;
  }

  async function change<Answer>(key: string, rule: Rule<Answer>): Promise<Answer> {
    let fault: unknown;
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      try {
        const done = await (tries === 0 ? attemptOnKnown(key, rule) : attempt(key, rule));
        if (done !== undefined) return done.answer;
      } catch (error) {
        // Whether a write without an answer took effect shows when the entry is read again.
        if (!(error instanceof OutcomeUnknown)) throw asPaymentError(key, error);
        fault = error;
      }
      await runtime.sleep(backoffMs(runtime, tries, BACKOFF_BASE_MS, BACKOFF_CAP_MS));
    }
    throw new PaymentUnavailable(`the ledger of the simulated provider, ${key}`, fault);
  }

  async function authorise(key: string): Promise<AuthoriseResult> {
    const deadline = runtime.now() + answerTimeoutMs;
    const rule = authorising(key, lateMs);
    for (;;) {
      const answer = await change(key, rule);
      if (answer.outcome === 'unavailable')
        throw new PaymentUnavailable(`authorising ${key}: 503, simulated`);
      if (answer.outcome === 'silence' || (answer.outcome === 'pending' && answer.until > deadline)) {
        await runtime.sleep(Math.max(0, deadline - runtime.now()));
        throw new PaymentUnavailable(`authorising ${key}: no answer in ${answerTimeoutMs} ms, simulated`);
      }
      if (answer.outcome !== 'pending') return answer;
      await runtime.sleep(Math.max(1, answer.until - runtime.now()));
    }
  }

  return {
    createIntent: async (intent) => change(intent.key, creating(intent)),
    authorise,
    capture: (key) => change(key, capturing(key)),
    cancel: (key) => change(key, cancelling(key)),
    refund: (key) => change(key, refunding(key)),
    ledger: async function* () {
      for await (const row of bucket.rows()) yield settled(decodeEntry(row.value), runtime.now());
    },
  };
}

function unlessRefused<T>(rule: () => T): T | undefined {
  try {
    return rule();
  } catch (error) {
    if (error instanceof PaymentRefused) return undefined;
    throw error;
  }
}

function asPaymentError(key: string, error: unknown): unknown {
  if (error instanceof LogUnavailable)
    return new PaymentUnavailable('the ledger of the simulated provider', error);
  if (error instanceof EventStoreError && error.code === 'bucket/invalid-key') {
    return new PaymentRefused('invalid_key', `${JSON.stringify(key.slice(0, 140))} cannot name a payment.`);
  }
  return error;
}
