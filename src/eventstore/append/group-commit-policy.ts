/** Says whether packing commits into one batch pays, from how fast both ways were lately. */
export interface GroupPolicy {
  /** How many commits that wait become a batch; `Infinity` where each had better go alone. */
  minBatch(): number;
  /** A commit was taken in; so many have no answer now, however they go. */
  sent(underWay: number): void;
  /** One of so many got its answer. */
  answered(underWay: number): void;
}

/** For the simulation and for tests: every batch of this many commits is sent. */
export function fixedPolicy(minBatch: number): GroupPolicy {
  const ignore = (): void => undefined;
  return { minBatch: () => minBatch, sent: ignore, answered: ignore };
}

/** Fewer commits do not become a batch: what comes together by chance. */
const LEAST = 4;
/** Of fewer commits under way no batch is worth a look. */
const BUSY = 8;
/** So many answers make a measurement, and so many for each commit under way. */
const WINDOW = 64;
const WINDOW_EACH = 3;
/** Batches must be faster by this much; single publishes are taken where they are as fast. */
const MARGIN = 0.95;
/** The other way is taken when it was faster twice in a row, or this much: a disk has its moments. */
const CLEARLY = 0.75;
/** A look at the other way ends where it takes this many times as long. */
const HOPELESS = 1.5;
/** When the other way is looked at again, in milliseconds; each time that it was not better after four times as long. */
const FIRST_RETRY_MS = 500;
const LONGER = 4;
const RETRY_MS = 20_000;
/** Answers that come this close together, in milliseconds, are one burst: they came in one read of the socket. */
const BURST_MS = 0.05;
/** While fewer than `BUSY` are under way for longer than this, in milliseconds, nobody is in a crowd. */
const QUIET_MS = 5;

/** What is known of so many commits under way: 8 to 15, 16 to 31 and so on. */
interface Level {
  together: boolean;
  /** The other way was faster when it was last looked at. */
  hasWon: boolean;
  tryAt: number;
  retryMs: number;
}

/**
 * Measures. A batch costs its server a fixed time (files of its own on one server, a round of the quorum on a cluster)
 * and a single publish one write to disk, or next to nothing where nothing is synced: no setting could name the
 * break-even of every disk, and no sum of such figures foretold it. So both ways are tried, one after the other under
 * the same load, and the faster one is used until the next look.
 * @param now milliseconds, with fractions
 */
export function measuringPolicy(now: () => number): GroupPolicy {
  const levels: Level[] = [];
  let together = false;
  /** The level whose other way is being looked at. */
  let trying: Level | undefined;
  /** What a commit took the usual way, in milliseconds: in the last measurement, and in the better of two before a look. */
  let beforeMs = Number.POSITIVE_INFINITY;
  let usualMs = 0;
  let quietSince: number | undefined;
  /** The measurement: begun when the first burst has ended that is not of the way before. */
  let from: number | undefined;
  let toSkip = 0;
  let last = 0;
  let count = 0;
  let peak = 0;

  const restart = (skip: number): void => {
    from = undefined;
    toSkip = skip;
    count = 0;
    peak = 0;
  };
  const go = (way: boolean, underWay: number): void => {
    restart(way === together ? 0 : underWay);
    together = way;
  };
  const judge = (level: Level, commitMs: number, at: number, underWay: number): void => {
    trying = undefined;
    const isFaster = commitMs < (level.together ? 1 : MARGIN) * usualMs;
    if (!isFaster) {
      level.hasWon = false;
      level.tryAt = at + level.retryMs;
      level.retryMs = Math.min(RETRY_MS, LONGER * level.retryMs);
    } else if (level.hasWon || commitMs < CLEARLY * usualMs) {
      level.together = !level.together;
      level.hasWon = false;
      level.tryAt = at + FIRST_RETRY_MS;
      level.retryMs = FIRST_RETRY_MS;
    } else level.hasWon = true;
    go(level.together, underWay);
  };
  const measured = (commitMs: number, at: number, underWay: number): void => {
    if (trying !== undefined) {
      judge(trying, commitMs, at, underWay);
      return;
    }
    const busy = Math.floor(Math.log2(peak / BUSY));
    if (busy < 0) {
      go(false, underWay);
      return;
    }
    const level = levels[busy] ?? { together: false, hasWon: false, tryAt: 0, retryMs: FIRST_RETRY_MS };
    levels[busy] = level;
    // Only a measurement of the usual way can be compared with.
    if (level.together === together && at >= level.tryAt) {
      trying = level;
      usualMs = Math.min(commitMs, beforeMs);
    }
    beforeMs = level.together === together ? commitMs : Number.POSITIVE_INFINITY;
    go(trying === undefined ? level.together : !level.together, underWay);
  };
  /** The server has waited for us: what was under way says nothing. */
  const begin = (at: number): void => {
    if (trying !== undefined) together = trying.together;
    trying = undefined;
    restart(0);
    last = at;
  };
  const isQuiet = (at: number): boolean => quietSince !== undefined && at - quietSince > QUIET_MS;

  return {
    minBatch: () => (together && !isQuiet(now()) ? LEAST : Number.POSITIVE_INFINITY),
    sent: (underWay) => {
      peak = Math.max(peak, underWay);
      if (underWay !== BUSY || quietSince === undefined) return;
      const at = now();
      if (isQuiet(at)) begin(at);
      quietSince = undefined;
    },
    answered: (underWay) => {
      const at = now();
      if (underWay <= BUSY) quietSince ??= at;
      const burstEnded = at - last > BURST_MS;
      if (from !== undefined) {
        const needed = Math.max(WINDOW, WINDOW_EACH * peak);
        if (burstEnded && count >= needed) measured((last - from) / count, at, underWay);
        else if (trying && at - from > HOPELESS * usualMs * needed) measured(Infinity, at, underWay);
      } else if (burstEnded && toSkip <= 0) {
        from = last;
        count = 0;
      }
      toSkip--;
      count++;
      last = at;
    },
  };
}
