import type { AppendTransport, PublishOutcome } from '../append/resolve-append.ts';
import { LogUnavailable, mayHeal, PermissionDenied } from '../errors.ts';
import { backoffMs, type Runtime } from '../runtime.ts';
import type { StreamRef } from '../stream.ts';

/** Something that the log's own group has committed: whatever was acknowledged before it was sent lies before it. */
export interface Witness {
  readonly subject: string;
  readonly sequence: number;
}

/**
 * What makes a read confirmed (protocol 19): a commit of the log's own group that was sent after the read had begun.
 * One fence serves all reads that began before it was sent; the process's own appends serve them, too.
 */
export interface Confirmations {
  /** For a read that begins now. @throws LogUnavailable at the deadline, PermissionDenied */
  next(): Promise<Witness>;
  /** How many reads have begun: to be taken before something is sent. */
  begun(): number;
  /** Something that was sent when so many reads had begun is stored. */
  stored(begun: number, witness: () => Witness): void;
}

export interface ConfirmationDeps {
  /** Stores a message of the log's own, without an expectation. Does not reject. */
  readonly sendFence: (timeoutMs: number) => Promise<PublishOutcome>;
  /** Where those messages lie. */
  readonly fenceSubject: string;
  readonly runtime: Runtime;
  /** How long a read waits in all, and for each fence, in milliseconds. */
  readonly deadlineMs: number;
  readonly attemptTimeoutMs: number;
}

interface Waiting {
  readonly number: number;
  readonly since: number;
  readonly resolve: (witness: Witness) => void;
  readonly reject: (error: unknown) => void;
}

const BACKOFF_BASE_MS = 10;
const BACKOFF_CAP_MS = 200;

/** The confirmations of one process: at most one fence is under way, and nobody who reads means none. */
export function createConfirmations(deps: ConfirmationDeps): Confirmations {
  const { runtime, deadlineMs, attemptTimeoutMs, fenceSubject: subject } = deps;
  /** In the order in which they began. */
  let waiting: Waiting[] = [];
  let begun = 0;
  let running = false;

  const stored: Confirmations['stored'] = (until, witness) => {
    const first = waiting[0];
    if (first === undefined || first.number > until) return;
    const shown = witness();
    const served = waiting.filter(({ number }) => number <= until);
    waiting = waiting.filter(({ number }) => number > until);
    for (const { resolve } of served) resolve(shown);
  };

  /** Who has waited long enough, or would wait in vain, is told so. */
  const giveUp = (outcome: Exclude<PublishOutcome, { ok: true }>): void => {
    const { cause } = 'conflict' in outcome ? { cause: undefined } : outcome;
    const isFinal = 'refused' in outcome && !outcome.retryable;
    const now = runtime.now();
    const over = waiting.filter(({ since }) => isFinal || now - since >= deadlineMs);
    waiting = waiting.filter((one) => !over.includes(one));
    const why = 'refused' in outcome ? `: ${outcome.refused}` : '';
    const error =
      cause instanceof PermissionDenied
        ? cause
        : new LogUnavailable(`no majority confirms a read${why}`, cause);
    for (const { reject } of over) reject(error);
  };

  const run = async (): Promise<void> => {
    running = true;
    for (let attempt = 0; waiting.length > 0; ) {
      const until = begun;
      const outcome = await deps.sendFence(attemptTimeoutMs);
      if ('ok' in outcome) {
        stored(until, () => ({ subject, sequence: outcome.seq }));
        attempt = 0;
        continue;
      }
      giveUp(outcome);
      if (waiting.length > 0)
        await runtime.sleep(backoffMs(runtime, attempt++, BACKOFF_BASE_MS, BACKOFF_CAP_MS));
    }
    running = false;
  };

  return {
    next: () =>
      new Promise((resolve, reject) => {
        waiting.push({ number: ++begun, since: runtime.now(), resolve, reject });
        if (!running) void run();
      }),
    begun: () => begun,
    stored,
  };
}

/** The same transport, whose appends serve reads that began before they were sent. */
export function servingReads<T extends AppendTransport>(
  transport: T,
  confirmations: Pick<Confirmations, 'begun' | 'stored'>,
  subjectOf: (stream: StreamRef) => string,
): T {
  return {
    ...transport,
    publish: async (outgoing, timeoutMs, guards) => {
      const begun = confirmations.begun();
      const outcome = await transport.publish(outgoing, timeoutMs, guards);
      const [first] = outgoing;
      if ('ok' in outcome && first !== undefined)
        confirmations.stored(begun, () => ({ subject: subjectOf(first.stream), sequence: outcome.seq }));
      return outcome;
    },
  };
}

/** A replica mostly lags by less than a look takes. */
const LOOKS_AT_ONCE = 3;
const LOOK_FIRST_MS = 1;
const LOOK_LONGEST_MS = 50;

/** Asks replicas until one has come far enough; a lagging one, or an answer that is not whole, is asked again. @throws LogUnavailable */
export async function untilShown<T>(
  { runtime, deadlineMs }: { readonly runtime: Runtime; readonly deadlineMs: number },
  what: string,
  look: () => Promise<T | undefined>,
): Promise<T> {
  const end = runtime.now() + deadlineMs;
  let problem: unknown;
  for (let attempt = 0; ; attempt++) {
    try {
      const seen = await look();
      if (seen !== undefined) return seen;
      problem = undefined;
    } catch (error) {
      if (!mayHeal(error) || error instanceof PermissionDenied) throw error;
      problem = error;
    }
    const slow = attempt - LOOKS_AT_ONCE + 1;
    const pause = slow < 0 ? 0 : backoffMs(runtime, slow, LOOK_FIRST_MS, LOOK_LONGEST_MS);
    if (runtime.now() + pause >= end)
      throw new LogUnavailable(`${what}: no replica shows what was confirmed`, problem);
    if (pause > 0) await runtime.sleep(pause);
  }
}
