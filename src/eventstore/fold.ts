import type { Message } from '@bufbuild/protobuf';
import { type CommandLog, emptyCommandLog, rememberCommand } from './command-log.ts';
import type { Decider, Rejection } from './decider.ts';
import { codecOf } from './event-codec.ts';
import type { RecordedCommit } from './log.ts';

/** Everything the kernel knows of an aggregate. Advanced in place, and only by commits that are in the log. */
export interface Folded<State> {
  state: State;
  /** 0 = it does not exist. */
  version: number;
  readonly commands: CommandLog;
  /** When the end of the log was last known to be here, in the runtime's milliseconds; 0 = never. */
  confirmedAt: number;
  /** The version from which on a new snapshot is worth writing. */
  snapshotDue?: number;
}

/** An aggregate before its first event. */
export function unborn<State>(initial: State): Folded<State> {
  return { state: initial, version: 0, commands: emptyCommandLog(), confirmedAt: 0 };
}

/**
 * Folds a commit in. One that was folded before is ignored, since a lane and a reader may meet the same commit.
 * @throws UnknownEventType, CorruptCommit; the aggregate is then as before the commit
 */
export function foldCommit<State, Command, Event extends Message, R extends Rejection>(
  decider: Decider<State, Command, Event, R>,
  folded: Folded<State>,
  commit: RecordedCommit,
): void {
  if (commit.position <= folded.version) return;
  const codec = codecOf<Event>(decider);
  let state = folded.state;
  for (const decision of commit.decisions) {
    for (const stored of decision.events) state = decider.evolve(state, codec.decode(stored));
  }
  for (const decision of commit.decisions) rememberCommand(folded.commands, decision, commit.position);
  folded.state = state;
  folded.version = commit.position;
}
