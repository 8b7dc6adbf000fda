import { type Requests, trimBucket } from '../eventstore/index.ts';

const EVERY_MS = 30_000;

/** What is kept within which bound. */
export interface SnapshotBound {
  readonly requests: Requests;
  readonly bucket: string;
  readonly maxBytes: number;
  /** How long one request may take, in milliseconds. */
  readonly timeoutMs: number;
  /** Told, once, of a bound that cannot be kept. */
  readonly onUnbounded: (error: unknown) => void;
}

/**
 * Keeps the snapshots within a bound, give or take what is written in half a minute, until it is stopped. What is
 * removed costs time only. @returns what stops it
 */
export function startSnapshotBound({ requests, onUnbounded, ...bound }: SnapshotBound): () => void {
  let told = false;
  let looking = false;
  const look = async (): Promise<void> => {
    if (looking || !requests.connected()) return;
    looking = true;
    try {
      await trimBucket(requests, bound);
    } catch (error) {
      if (!told && requests.connected()) {
        told = true;
        onUnbounded(error);
      }
    } finally {
      looking = false;
    }
  };
  const timer = setInterval(() => void look(), EVERY_MS);
  timer.unref();
  return () => clearInterval(timer);
}
