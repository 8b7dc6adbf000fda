import type { Message } from '@bufbuild/protobuf';
import { codecOf } from '../codec/event-codec.ts';
import type { EventSource } from '../decider.ts';
import { EventStoreError, LogUnavailable } from '../errors.ts';
import type { Log, RecordedCommit } from '../log.ts';
import { before, positionOfVersion, versionAt } from '../position.ts';
import { checkStream, keyOf, type StreamRef } from '../stream.ts';
import { type RecordedEvent, recordedEvents } from './recorded-event.ts';

/** Which part of an aggregate's history is wanted, and in which order. */
export interface ReadStreamOptions {
  /** Default `forwards`: oldest first. */
  readonly direction?: 'forwards' | 'backwards' | undefined;
  /** A version of the aggregate, or any position of the log: where reading begins, itself included. Default: at the end it starts from. */
  readonly from?: number | undefined;
  /** Likewise where it ends, itself included. Default: at the other end. */
  readonly to?: number | undefined;
  /** At most so many; default: all. */
  readonly limit?: number | undefined;
}

/**
 * An aggregate's commits, confirmed; foreign messages among them. Forwards they come in pages of some hundred, backwards
 * one request each (the last one of any history costs one): read the end of a history backwards and all of it forwards.
 * @throws LogUnavailable, InvalidId; EventStoreError `read/invalid`, which names the option
 */
export async function* readStream(
  log: Log,
  stream: StreamRef,
  options: ReadStreamOptions = {},
): AsyncGenerator<RecordedCommit> {
  checkStream(stream);
  const { direction = 'forwards', limit = Number.POSITIVE_INFINITY } = checked(options);
  let left = limit;
  const commits = direction === 'forwards' ? forwards(log, stream, options) : backwards(log, stream, options);
  for await (const commit of commits) {
    yield commit;
    if (--left === 0) return;
  }
}

/** An event of a history, with its number. */
export interface NumberedEvent<Event extends Message> extends RecordedEvent<Event> {
  /** 1 for the aggregate's first event; known only where reading began there. Expectations are versions, never this. */
  readonly ordinal: number | undefined;
}

/**
 * The same as decoded events: `limit` counts events, and backwards the last event of a commit comes first.
 * @param source the decider, or any source of the category's events
 * @throws as `readStream`; UnknownEventType, CorruptCommit
 */
export async function* readEvents<Event extends Message>(
  log: Log,
  source: EventSource,
  id: string,
  options: ReadStreamOptions = {},
): AsyncGenerator<NumberedEvent<Event>> {
  const codec = codecOf<Event>(source);
  const isBackwards = options.direction === 'backwards';
  const isNumbered = !isBackwards && options.from === undefined;
  let seen = 0;
  for await (const commit of readStream(log, { category: source.category, id }, options)) {
    const events = recordedEvents(commit, codec);
    for (const event of isBackwards ? events.reverse() : events) {
      seen++;
      yield { ...event, ordinal: isNumbered ? seen : undefined };
      if (seen === options.limit) return;
    }
  }
}

async function* forwards(
  log: Log,
  stream: StreamRef,
  { from = 0, to = Number.POSITIVE_INFINITY, limit }: ReadStreamOptions,
): AsyncGenerator<RecordedCommit> {
  for (let after = Math.max(0, from - 1), more = true; more; ) {
    const page = await log.read(stream, { after, confirm: true, limit });
    for (const commit of page.commits) {
      after = versionAt(commit.position);
      if (after > to) return;
      yield commit;
    }
    more = page.more && after < to;
  }
}

async function* backwards(
  log: Log,
  stream: StreamRef,
  { from, to = 0 }: ReadStreamOptions,
): AsyncGenerator<RecordedCommit> {
  let commit = await log.last(stream, from === undefined ? undefined : positionOfVersion(from));
  while (commit !== undefined && versionAt(commit.position) >= to) {
    yield commit;
    const { previous, position }: RecordedCommit = commit;
    if (previous === 0) return;
    // A foreign message does not name the one before it.
    commit =
      previous === undefined
        ? await log.last(stream, before(position))
        : await commitAt(log, stream, previous);
  }
}

async function commitAt(log: Log, stream: StreamRef, version: number): Promise<RecordedCommit> {
  const commit = await log.at(positionOfVersion(version));
  if (commit === undefined)
    throw new LogUnavailable(`reading ${keyOf(stream)}: its version ${version} is not there`);
  return commit;
}

function checked(options: ReadStreamOptions): ReadStreamOptions {
  const { direction, from, to, limit } = options;
  for (const [name, value, least] of [
    ['from', from, 0],
    ['to', to, 0],
    ['limit', limit, 1],
  ] as const) {
    if (value === undefined || (Number.isSafeInteger(value) && value >= least)) continue;
    throw refused(name, `is ${value}; use a whole number from ${least} on`);
  }
  if (direction !== undefined && direction !== 'forwards' && direction !== 'backwards')
    throw refused('direction', `is ${String(direction)}; use forwards or backwards`);
  return options;
}

function refused(option: string, problem: string): EventStoreError {
  return new EventStoreError('read/invalid', `The option ${option} ${problem}.`);
}
