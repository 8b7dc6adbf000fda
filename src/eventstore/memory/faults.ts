/** How often each fault strikes: probabilities in [0, 1], rolled from the world's seed where the fault could happen. */
export interface Faults {
  /** A read that was not confirmed sees an older prefix of the log or bucket. */
  readonly staleRead: number;
  /** A write is stored and its answer never comes. */
  readonly lostAck: number;
  /** A write gets no answer and is stored (if its expectation still holds) after its sender gave up waiting. */
  readonly lateLanding: number;
  /** A write gets no answer and was never stored. */
  readonly lostSend: number;
  /** The server is away for one operation: a write is refused, a read throws. */
  readonly unavailable: number;
  /** A scan breaks off with LogUnavailable. */
  readonly brokenScan: number;
  /** A scan goes back and delivers commits again, in order, as a restart from an older checkpoint would. */
  readonly redelivery: number;
  /** An operation takes up to `longestDelayMs`, so that timers of others go first. */
  readonly delay: number;
  /** A spawned actor stops for ever at the operation it has just asked for. */
  readonly crash: number;
}

/** The world in which nothing goes wrong but the order of things. */
export const NO_FAULTS: Faults = {
  staleRead: 0,
  lostAck: 0,
  lateLanding: 0,
  lostSend: 0,
  unavailable: 0,
  brokenScan: 0,
  redelivery: 0,
  delay: 0,
  crash: 0,
};
