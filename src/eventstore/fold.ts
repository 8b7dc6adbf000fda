import { createHash } from 'node:crypto';
import type { DescMessage, Message } from '@bufbuild/protobuf';
import type { Event as StoredEvent } from '../gen/jetledger/eventstore/v1/commit_pb.ts';
import { codecOf, type EventCodec } from './codec/event-codec.ts';
import type { Loaded } from './command.ts';
import { type CommandLog, emptyCommandLog, rememberCommand } from './command-log.ts';
import type { AnyDecider, Decider, Rejection } from './decider.ts';
import { CorruptCommit, EventStoreError, LogUnavailable } from './errors.ts';
import type { Log, RecordedCommit } from './log.ts';
import { versionAt } from './position.ts';
import { readStream } from './reading/read-stream.ts';
import { keyOf, type StreamRef } from './stream.ts';

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
  /** Set when its state came out of a structured clone. */
  cloned?: boolean;
  /** How many bytes of memory its state took when that was last reckoned, and from how many commands on it is again. */
  reckoned?: { readonly bytes: number; readonly until: number } | undefined;
  /** Set when it was found to come from a wrong snapshot: it is neither kept nor written any more. */
  untrusted?: boolean;
  /** The newest generation in which every section of the state was stored, as far as is known here. */
  sectionsStored?: number;
  /** The generation in which this process last began to store them. */
  sectionsBegun?: number;
  /**
   * Set when another process was faster: when that was last, how many commits of this process followed it, and how long
   * the last of these took, in milliseconds.
   */
  crowd?: { at: number; commits: number; appendMs: number };
}

/** An aggregate before its first event. */
export function emptyFold<State>(initial: State): Folded<State> {
  return { state: initial, version: 0, commands: emptyCommandLog(), confirmedAt: 0 };
}

/**
 * Folds a commit in. One that was folded before is ignored, since a command queue and a reader may meet the same commit.
 * @throws UnknownEventType, CorruptCommit; the aggregate is then as before the commit
 */
export function foldCommit<State, Command, Event extends Message, R extends Rejection>(
  decider: Decider<State, Command, Event, R>,
  folded: Folded<State>,
  commit: RecordedCommit,
): void {
  const version = versionAt(commit.position);
  if (version <= folded.version) return;
  const codec = codecOf<Event>(decider);
  let state = folded.state;
  for (const decision of commit.decisions) {
    for (const stored of decision.events) state = decider.evolve(state, decodeIn(commit, codec, stored));
  }
  for (const decision of commit.decisions) rememberCommand(folded.commands, decision, version);
  folded.state = state;
  folded.version = version;
}

/**
 * Folds the aggregate from its first event again, in place, so that its state lacks nothing. What was known of it stays
 * known: a leader that has less is not believed.
 * @throws LogUnavailable, UnknownEventType, CorruptCommit; the aggregate is then as before
 */
export async function refold<State, Command, Event extends Message, R extends Rejection>(
  log: Log,
  decider: Decider<State, Command, Event, R>,
  stream: StreamRef,
  folded: Folded<State>,
): Promise<void> {
  const whole = emptyFold(decider.initial);
  // Meanwhile others may fold in what this has not read yet.
  for (let more = true; more || whole.version < folded.version; ) {
    const known = folded.version;
    const page = await log.read(stream, { after: whole.version, confirm: 'leader' });
    for (const commit of page.commits) foldCommit(decider, whole, commit);
    more = page.more;
    if (!more && whole.version < known)
      throw new LogUnavailable(`folding ${keyOf(stream)} anew: the log ends before its version`);
  }
  Object.assign(folded.commands, whole.commands);
  folded.state = whole.state;
  folded.version = whole.version;
  delete folded.cloned;
  delete folded.sectionsStored;
  delete folded.sectionsBegun;
}

/** Damaged bytes are the commit's damage: it names the aggregate and the position. */
function decodeIn<Event extends Message>(
  commit: RecordedCommit,
  codec: EventCodec<Event>,
  stored: StoredEvent,
): Event {
  try {
    return codec.decode(stored, commit.stream.id);
  } catch (error) {
    if (!(error instanceof EventStoreError) || error.code !== 'event/corrupt') throw error;
    throw new CorruptCommit(keyOf(commit.stream), commit.position, error);
  }
}

const versions = new WeakMap<object, string>();

/**
 * Names what a decider folds to: a digest of its `evolve`, its initial state, the shape of its events, its upcasters and
 * its `foldRevision`. Another fold never meets this one's snapshots. Code that `evolve` calls is not part of the digest:
 * raise `foldRevision` when it changes (the sampled verification finds it when that was forgotten).
 */
export function foldVersionOf(decider: AnyDecider): string {
  let version = versions.get(decider);
  if (version === undefined) {
    const hash = createHash('sha256');
    hash.update(`${decider.foldRevision ?? 0}\n${decider.evolve.toString()}\n`);
    hash.update(
      JSON.stringify(decider.initial, (_key, value: unknown) =>
        typeof value === 'bigint' ? `${value}n` : value,
      ),
    );
    for (const event of decider.events) hash.update(shapeOf(event, new Set()));
    for (const u of decider.upcasters ?? [])
      hash.update(`\n${u.type}/${u.fromVersion} ${u.upcast.toString()}`);
    version = hash.digest('hex').slice(0, 12);
    versions.set(decider, version);
  }
  return version;
}

/** A message with its fields and, once each, the messages within it. */
function shapeOf(message: DescMessage, seen: Set<DescMessage>): string {
  if (seen.has(message)) return message.name;
  seen.add(message);
  const fields = message.fields.map((f) => {
    const within = f.message === undefined ? '' : shapeOf(f.message, seen);
    return `${f.number}:${f.name}:${f.fieldKind}:${f.scalar ?? ''}${within}`;
  });
  return `\n${message.name}{${fields.join(',')}}`;
}

/** A point in the past; everything up to and including it counts. Nothing = now. */
export interface Until {
  /** A version of the aggregate or any position of the log: both are sequences of the log. */
  readonly version?: number;
  /**
   * Milliseconds since the Unix epoch: everything up to the last commit that was decided by then. The log's order counts,
   * so that a commit whose clock was ahead is not missing behind one that was decided on it.
   */
  readonly time?: number;
}

/** An aggregate's commits from the first up to a point, confirmed with the leader, page by page. @throws LogUnavailable */
export async function* history(
  log: Log,
  stream: StreamRef,
  until: Until = {},
): AsyncGenerator<RecordedCommit> {
  const { version: last = Number.POSITIVE_INFINITY, time } = until;
  const upTo = time === undefined ? last : Math.min(last, await lastDecidedBy(log, stream, time));
  yield* readStream(log, stream, Number.isSafeInteger(upTo) ? { to: Math.max(0, upTo) } : {});
}

/** An aggregate as it was at a point in the past. @throws LogUnavailable, UnknownEventType, CorruptCommit */
export async function loadAt<State, Command, Event extends Message, R extends Rejection>(
  log: Log,
  decider: Decider<State, Command, Event, R>,
  id: string,
  until: Until,
): Promise<Loaded<State>> {
  const folded = emptyFold(decider.initial);
  for await (const commit of history(log, { category: decider.category, id }, until)) {
    foldCommit(decider, folded, commit);
  }
  return { state: folded.state, version: folded.version };
}

/**
 * The version of an aggregate's last commit that was decided by a time, whatever the clocks of others said; 0 = none.
 * What does not tell its time, being damaged or foreign, goes with the commit before it.
 */
async function lastDecidedBy(log: Log, stream: StreamRef, time: number): Promise<number> {
  let last = 0;
  let before = 0;
  for await (const commit of history(log, stream)) {
    const version = versionAt(commit.position);
    const decided = decidedAt(commit);
    if (decided === undefined ? last === before : decided <= time) last = version;
    before = version;
  }
  return last;
}

function decidedAt(commit: RecordedCommit): number | undefined {
  try {
    const time = commit.decisions[0]?.time;
    return time === undefined ? undefined : Number(time);
  } catch (error) {
    if (error instanceof CorruptCommit) return undefined;
    throw error;
  }
}
