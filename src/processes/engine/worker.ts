import type { SlotGroup } from '../../eventstore/index.ts';
import type { GroupRunner, GroupStatus } from './group-runner.ts';
import type { Session } from './ownership.ts';

/** One of the groups that the instances share, while this process owns it. */
export interface OwnedShare {
  readonly group: SlotGroup;
  /** Whether it may still be worked on, by this process's own clock. */
  readonly alive: () => boolean;
  /** Fires when it is another's: nothing is to be finished or stored any more. */
  readonly signal: AbortSignal;
}

/** What a worker does with a share. */
export interface WorkerShare {
  /** Begins nothing until it is called with false. */
  hold(held: boolean): void;
  /** Finishes what is under way, bounded, and stores how far it is. */
  stop(): Promise<void>;
  status(): GroupStatus;
}

/**
 * Work that instances share as they share a consumer's groups, and that has places of its own: it fences what it stores
 * with the revision that it read, since an earlier owner may still be at it.
 */
export interface Worker {
  /** As a reaction's. */
  readonly name: string;
  /** Called once a share is owned. */
  own(share: OwnedShare): WorkerShare;
}

/** Runs a worker on a group whose lease was just taken. */
export function runWorker(
  worker: Worker,
  { group, session, release }: { group: SlotGroup; session: Session; release: () => Promise<void> },
): GroupRunner {
  const share = worker.own({ group, alive: session.alive, signal: session.ended });
  let end: (how: { error?: unknown }) => void = () => undefined;
  const ended = new Promise<{ error?: unknown }>((resolve) => {
    end = resolve;
  });
  let stopping: Promise<void> | undefined;
  const stop = (): Promise<void> => {
    stopping ??= share
      .stop()
      .then(async () => {
        session.ended.removeEventListener('abort', onEnded);
        if (session.alive()) await release();
        end({});
      })
      .catch((error: unknown) => end({ error }));
    return stopping;
  };
  const onEnded = (): void => void stop();
  session.ended.addEventListener('abort', onEnded, { once: true });
  if (session.ended.aborted) onEnded();
  return { group, ended, stop, hold: share.hold, look: () => undefined, status: share.status };
}
