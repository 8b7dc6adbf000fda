import { create } from '@bufbuild/protobuf';
import {
  type PositionSkipped,
  PositionSkippedSchema,
  type SkipUndone,
  SkipUndoneSchema,
} from '../../gen/jetledger/eventstore/v1/marks_pb.ts';
import { codecOf } from '../codec/event-codec.ts';
import { commitOf, decisionOf } from '../codec/stored-commit.ts';
import type { EventSource } from '../decider.ts';
import { CorruptCommit, EventStoreError, LogUnavailable, mayHeal } from '../errors.ts';
import type { Log, RecordedCommit } from '../log.ts';
import { numberOf, type Position, positionOf, versionAt } from '../position.ts';
import type { Runtime } from '../runtime.ts';
import { MARKS, type StreamRef } from '../stream.ts';

/** A position that views and reactions pass over, because an operator said so (protocol 20). */
export interface SkipMark {
  readonly position: Position;
  /** Whose commit lies there. */
  readonly stream: StreamRef;
  readonly reason: string;
  /** Names the action in the record of operators' actions, which says who did it. */
  readonly action: string;
  /** In milliseconds since the Unix epoch. */
  readonly at: number;
}

/** The marks of a log as of one moment. */
export interface Marks {
  /** The position of the last change; 0 = there was none. */
  readonly version: number;
  /** By position, in the order in which they were set. */
  readonly skipped: ReadonlyMap<Position, SkipMark>;
}

/** Nothing is passed over. */
export const NO_MARKS: Marks = { version: 0, skipped: new Map() };

/** The events of the marks' stream. */
export const markEvents: EventSource = {
  category: 'marks',
  events: [PositionSkippedSchema, SkipUndoneSchema],
};

type MarkEvent = PositionSkipped | SkipUndone;

/**
 * The marks of the log, going on from those that are known.
 * @param confirm whether every change that was acknowledged before must be seen
 * @throws LogUnavailable; UnknownEventType when a newer version has set them
 */
export async function readMarks(log: Log, known: Marks = NO_MARKS, confirm = true): Promise<Marks> {
  let { version } = known;
  const skipped = new Map(known.skipped);
  for (;;) {
    const page = await log.read(MARKS, { after: version, confirm });
    for (const commit of page.commits) {
      version = versionAt(commit.position);
      apply(skipped, commit);
    }
    if (!page.more || page.commits.length === 0)
      return version === known.version ? known : { version, skipped };
  }
}

function apply(skipped: Map<Position, SkipMark>, commit: RecordedCommit): void {
  const codec = codecOf<MarkEvent>(markEvents);
  try {
    for (const { commandId: action, time, events } of commit.decisions) {
      for (const event of events.map((stored) => codec.decode(stored))) {
        const position = positionOf(Number(event.position));
        skipped.delete(position);
        if (event.$typeName === 'jetledger.eventstore.v1.SkipUndone') continue;
        const stream = { category: event.category, id: event.id };
        skipped.set(position, { position, stream, reason: event.reason, action, at: Number(time) });
      }
    }
  } catch (error) {
    // What nobody can read marks nothing: what it would have passed over is met and told.
    if (!(error instanceof CorruptCommit)) throw error;
  }
}

/** An operator's wish, under an id that names it in the record of operators' actions. */
export interface MarkChange {
  readonly position: Position;
  readonly reason: string;
  readonly action: string;
}

/** More are no exceptions: restore the log. */
const MOST_MARKS = 200;
const LONGEST_REASON = 500;
const TRIES = 5;

const refused = (code: string, message: string): EventStoreError => new EventStoreError(code, message);

/**
 * Has views and reactions pass over the commit at a position; nothing when they do already.
 * @returns whether anything changed
 * @throws EventStoreError `mark/no-commit`, `mark/foreign`, `mark/too-many`, `mark/reason`; LogUnavailable, OutcomeUnknown
 */
export async function skipPosition(log: Log, runtime: Runtime, change: MarkChange): Promise<boolean> {
  const { position } = change;
  const commit = await log.at(position);
  if (commit === undefined) {
    const end = await log.head();
    throw refused(
      'mark/no-commit',
      `There is no commit at position ${numberOf(position)}; the log ends at ${numberOf(end)}.`,
    );
  }
  if (commit.foreign !== undefined) {
    throw refused(
      'mark/foreign',
      `Position ${numberOf(position)} is a foreign message, which is passed over anyway.`,
    );
  }
  const { category, id } = commit.stream;
  return changeMarks(log, runtime, change, ({ skipped }) => {
    if (skipped.has(position)) return undefined;
    if (skipped.size >= MOST_MARKS) {
      const advice = 'Undo some, or restore a backup: so much damage is no exception.';
      throw refused('mark/too-many', `${skipped.size} positions are marked already. ${advice}`);
    }
    return create(PositionSkippedSchema, {
      position: BigInt(numberOf(position)),
      category,
      id,
      reason: change.reason,
    });
  });
}

/** Takes a mark back; nothing when there is none. @returns whether anything changed @throws as `skipPosition` */
export async function undoSkip(log: Log, runtime: Runtime, change: MarkChange): Promise<boolean> {
  const { position, reason } = change;
  return changeMarks(log, runtime, change, ({ skipped }) =>
    skipped.has(position)
      ? create(SkipUndoneSchema, { position: BigInt(numberOf(position)), reason })
      : undefined,
  );
}

async function changeMarks(
  log: Log,
  runtime: Runtime,
  { action, reason }: MarkChange,
  decide: (marks: Marks) => MarkEvent | undefined,
): Promise<boolean> {
  if (reason.trim() === '' || reason.length > LONGEST_REASON) {
    throw refused('mark/reason', `A mark needs a reason of 1 to ${LONGEST_REASON} characters.`);
  }
  for (let tries = 0; tries < TRIES; tries++) {
    const marks = await readMarks(log);
    const event = decide(marks);
    if (event === undefined) return false;
    const stored = codecOf<MarkEvent>(markEvents).encode(event);
    const decision = decisionOf({ commandId: action, actor: '' }, [stored], runtime.now());
    const result = await log.append(MARKS, marks.version, commitOf(runtime.id(), [decision]));
    if (result.appended) return true;
  }
  throw new LogUnavailable('marking a position: others change the marks at the same time');
}

/** The marks as a process follows them, for all that reads the log in it. */
export interface MarkWatch {
  /** What was read last. */
  readonly known: Marks;
  /** As old as `everyMs` at the most; through the leader the first time. @throws LogUnavailable until they were read once */
  latest(): Promise<Marks>;
  /** Through the leader. @throws LogUnavailable */
  fresh(): Promise<Marks>;
}

/** Follows the marks of a log, asking once for all who want to know, and a replica, since nothing is urgent. */
export function watchMarks(log: Log, runtime: Runtime, everyMs: number): MarkWatch {
  let known: Marks | undefined;
  let readAt = Number.NEGATIVE_INFINITY;
  let reading: Promise<Marks> | undefined;

  const read = async (confirm: boolean): Promise<Marks> => {
    const next = await readMarks(log, known, confirm);
    // Another read may have come further meanwhile.
    if (known === undefined || next.version > known.version) known = next;
    readAt = runtime.now();
    return known;
  };
  const shared = (): Promise<Marks> => {
    reading ??= read(known === undefined).finally(() => {
      reading = undefined;
    });
    return reading;
  };
  return {
    get known() {
      return known ?? NO_MARKS;
    },
    fresh: () => read(true),
    latest: async () => {
      if (known !== undefined && runtime.now() - readAt < everyMs) return known;
      try {
        return await shared();
      } catch (error) {
        if (known === undefined || !mayHeal(error)) throw error;
        return known;
      }
    },
  };
}
