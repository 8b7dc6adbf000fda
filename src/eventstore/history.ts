import type { Message } from '@bufbuild/protobuf';
import type { Loaded } from './command.ts';
import type { Decider, Rejection } from './decider.ts';
import { foldCommit, unborn } from './fold.ts';
import type { Log, RecordedCommit } from './log.ts';
import type { StreamRef } from './stream.ts';

/** A point in the past; everything up to and including it counts. Nothing = now. */
export interface Until {
  /** A version of the aggregate or any position of the log: both are sequences of the log. */
  readonly version?: number;
  /** Milliseconds since the Unix epoch, compared with the time of the decisions. */
  readonly time?: number;
}

/** An aggregate's commits from the first up to a point, confirmed with the leader, page by page. @throws LogUnavailable */
export async function* history(
  log: Log,
  stream: StreamRef,
  until: Until = {},
): AsyncGenerator<RecordedCommit> {
  const upTo = until.version ?? Number.POSITIVE_INFINITY;
  let after = 0;
  for (;;) {
    const page = await log.read(stream, { after, confirm: true });
    for (const commit of page.commits) {
      if (commit.position > upTo || isAfter(commit, until.time)) return;
      after = commit.position;
      yield commit;
    }
    if (!page.more || after >= upTo) return;
  }
}

/** An aggregate as it was at a point in the past. @throws LogUnavailable, UnknownEventType, CorruptCommit */
export async function loadAt<State, Command, Event extends Message, R extends Rejection>(
  log: Log,
  decider: Decider<State, Command, Event, R>,
  id: string,
  until: Until,
): Promise<Loaded<State>> {
  const folded = unborn(decider.initial);
  for await (const commit of history(log, { category: decider.category, id }, until)) {
    foldCommit(decider, folded, commit);
  }
  return { state: folded.state, version: folded.version };
}

function isAfter(commit: RecordedCommit, time: number | undefined): boolean {
  return time !== undefined && Number(commit.decisions[0]?.time ?? 0) > time;
}
