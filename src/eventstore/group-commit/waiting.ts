import type { OutgoingCommit, PublishOutcome } from '../resolve-append.ts';

/** A commit that waits for company, and its caller. */
export interface Waiting {
  readonly key: string;
  readonly commit: OutgoingCommit;
  readonly timeoutMs: number;
  readonly since: number;
  readonly answer: (outcome: PublishOutcome) => void;
  readonly fail: (error: unknown) => void;
}

/** The next commits for one batch, no aggregate twice: expectations are checked against the log before the batch. */
export function takeBatch(queue: Waiting[], most: number): Waiting[] {
  const taken = new Map<string, Waiting>();
  const left: Waiting[] = [];
  for (const waiting of queue) {
    if (taken.size < most && !taken.has(waiting.key)) taken.set(waiting.key, waiting);
    else left.push(waiting);
  }
  queue.splice(0, queue.length, ...left);
  return [...taken.values()];
}
