import type { Message } from '@bufbuild/protobuf';
import type { Event as StoredEvent } from '../gen/jetledger/eventstore/v1/commit_pb.ts';
import { type CommandLog, emptyCommandLog, rememberCommand } from './command-log.ts';
import type { Decider, Rejection } from './decider.ts';
import { CorruptCommit, EventStoreError } from './errors.ts';
import { codecOf, type EventCodec } from './event-codec.ts';
import type { RecordedCommit } from './log.ts';
import { keyOf } from './stream.ts';

/** Everything the kernel knows of an aggregate. Advanced in place, and only by commits that are in the log. */
export interface Folded<State> {
  state: State;
  /** 0 = it does not exist. */
  version: number;
  readonly commands: CommandLog;
  /** When the end of the log was last known to be here, in the runtime's milliseconds; 0 = never. */
  confirmedAt: number;
  /** Set from when it came out of a snapshot or the log until a commit of this process is appended to it. */
  cold?: boolean;
  /** Set while it waits for its snapshot to be written. */
  waiting?: boolean;
  /** How many more commits may pass before a new snapshot is worth writing; versions have gaps, so they cannot say. */
  snapshotPause?: number;
  /** Set when it was found to come from a wrong snapshot: it is neither kept nor written any more. */
  disowned?: boolean;
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
    for (const stored of decision.events) state = decider.evolve(state, decodeIn(commit, codec, stored));
  }
  for (const decision of commit.decisions) rememberCommand(folded.commands, decision, commit.position);
  folded.state = state;
  folded.version = commit.position;
}

/** Damaged bytes are the commit's damage: it names the aggregate and the position. */
function decodeIn<Event extends Message>(
  commit: RecordedCommit,
  codec: EventCodec<Event>,
  stored: StoredEvent,
): Event {
  try {
    return codec.decode(stored);
  } catch (error) {
    if (!(error instanceof EventStoreError) || error.code !== 'event/corrupt') throw error;
    throw new CorruptCommit(keyOf(commit.stream), commit.position, error);
  }
}
