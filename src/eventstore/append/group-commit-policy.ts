/** Says whether packing commits into one batch pays, from what both ways took lately. */
export interface GroupPolicy {
  /** How many commits a batch needs to be faster than single publishes. */
  minBatch(): number;
  /** A single publish went out and is one of `underWay`; no batch is under way. */
  singleSent(underWay: number): void;
  /** A single publish, one of `underWay`, was answered, and no batch was under way meanwhile. */
  singleAnswered(underWay: number): void;
  /** A batch of `size` commits took `ms`, beside `others`. */
  batchAnswered(size: number, ms: number, others: number): void;
}

/** For the simulation and for tests: every batch of this many commits is sent. */
export function fixedPolicy(minBatch: number): GroupPolicy {
  const ignore = (): void => undefined;
  return { minBatch: () => minBatch, singleSent: ignore, singleAnswered: ignore, batchAnswered: ignore };
}

/** What a commit in a batch costs beside the batch itself, in milliseconds; measured on both kinds of server. */
const EACH_MS = 0.03;
/** A batch is sent when it is this much faster. */
const MARGIN = 0.8;
/** Fewer single publishes at once say nothing about how many a server can take. */
const BUSY = 8;
/** Of a new measurement this share counts; of single publishes, of each. */
const SINGLE_WEIGHT = 0.02;
const BATCH_WEIGHT = 0.2;
/** How long single publishes are trusted to be as slow as they were while batches are in use, in milliseconds. */
const STALE_MS = 3_000;
/**
 * How long batches are trusted not to pay, in milliseconds: a look at them costs more. The first one may have met a cold
 * server: it is looked at again soon, and each time that it does not pay after twice as long.
 */
const RETRY_MS = 20_000;
const FIRST_RETRY_MS = 500;
/** Where more commits than this were needed, no batch is waited for. */
const MOST = 400;
/** How many commits are sent the other way to measure it again. */
const PROBE = 48;
/** So many single publishes must have been measured before anything is compared with them. */
const KNOWN_AFTER = 48;

/** Takes in how long a server works on a single publish while many are under way, from when answers come. */
interface SingleMeter {
  sent(underWay: number): void;
  answered(underWay: number): void;
  /** What is under way now is slowed down by something else. */
  forget(): void;
}

/** Answers that come this close together, in milliseconds, are one burst: they came in one read of the socket. */
const BURST_MS = 0.05;
/** So many answers at least make a figure. */
const LEAST = 32;
/** While fewer than `BUSY` are under way for longer than this, in milliseconds, the server has waited for us. */
const IDLE_MS = 1;

/**
 * Answers come in bursts, since what a turn of the event loop sends goes out at once: the time between two of them says
 * nothing, and the time from the end of one burst to the end of another, by what came in between, says all.
 */
function singleMeter(now: () => number, take: (ms: number, count: number) => void): SingleMeter {
  let from: number | undefined;
  let last = 0;
  let count = 0;
  let quietSince: number | undefined;
  return {
    sent: (underWay) => {
      if (underWay !== BUSY) return;
      const at = now();
      if (from === undefined || (quietSince !== undefined && at - quietSince > IDLE_MS)) {
        from = at;
        last = at;
        count = 0;
      }
      quietSince = undefined;
    },
    answered: (underWay) => {
      if (from === undefined) return;
      const at = now();
      if (underWay < BUSY) quietSince ??= at;
      if (quietSince !== undefined && at - quietSince > IDLE_MS) {
        from = undefined;
        return;
      }
      if (at - last > BURST_MS && count >= LEAST) {
        take((last - from) / count, count);
        from = last;
        count = 0;
      }
      count++;
      last = at;
    },
    forget: () => {
      from = undefined;
      quietSince = undefined;
    },
  };
}

/**
 * Measures. A batch costs its server a fixed time (files of its own on one server, a round of the quorum on a cluster)
 * and a single publish one write to disk, or next to nothing where nothing is synced: no setting could name the
 * break-even of every disk. Now and then some commits go the other way, so that neither figure grows old.
 * @param now milliseconds, with fractions
 */
export function measuringPolicy(now: () => number): GroupPolicy {
  let singleMs = 0;
  let baseMs = 0;
  let measured = 0;
  let singleKnownAt = 0;
  let batchKnownAt = Number.NEGATIVE_INFINITY;
  let probing = 0;
  let retryMs = FIRST_RETRY_MS;
  const singles = singleMeter(now, (ms, count) => {
    probing = Math.max(0, probing - count);
    measured += count;
    singleMs += Math.max(1 - (1 - SINGLE_WEIGHT) ** count, count / measured) * (ms - singleMs);
    singleKnownAt = now();
  });
  const pays = (): boolean => baseMs <= MOST * (MARGIN * singleMs - EACH_MS);

  return {
    minBatch: () => {
      const gainMs = MARGIN * singleMs - EACH_MS;
      // Where single publishes cost hardly more than a place in a batch, no batch can pay.
      if (measured < KNOWN_AFTER || probing > 0 || gainMs <= 0) return Number.POSITIVE_INFINITY;
      const at = now();
      if (at - batchKnownAt > (pays() ? RETRY_MS : retryMs)) return PROBE;
      if (!pays()) return Number.POSITIVE_INFINITY;
      const needed = Math.ceil(baseMs / gainMs);
      if (at - singleKnownAt > STALE_MS) {
        probing = PROBE;
        return Number.POSITIVE_INFINITY;
      }
      return Math.max(4, needed);
    },
    singleSent: singles.sent,
    singleAnswered: singles.answered,
    batchAnswered: (size, ms, others) => {
      const base = Math.max(0, ms / (others + 1) - size * EACH_MS);
      const isFirst = batchKnownAt === Number.NEGATIVE_INFINITY;
      // Of batches that do not pay few are seen: a faster one counts at once.
      const weight = isFirst || (!pays() && base < baseMs) ? 1 : BATCH_WEIGHT;
      baseMs += weight * (base - baseMs);
      batchKnownAt = now();
      retryMs = pays() ? FIRST_RETRY_MS : Math.min(RETRY_MS, 2 * retryMs);
      singles.forget();
    },
  };
}
