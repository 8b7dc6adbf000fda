import type { Message } from '@bufbuild/protobuf';
import type { CommandMeta, Expectation } from './command.ts';
import { type CommitAllResult, part } from './commit-all.ts';
import type { Decider, EventSchema, EventSource, Rejection } from './decider.ts';
import { EventStoreError } from './errors.ts';
import { freely } from './free-decider.ts';
import type { Handler } from './handler.ts';

/** What became of events that were appended. */
export type AppendEventsResult =
  | { readonly outcome: 'accepted'; readonly version: number; readonly repeated: boolean }
  | Extract<CommitAllResult, { outcome: 'conflict' | 'key-reused' }>;

/**
 * Appends events as they are: no `decide` is asked. Idempotent by the command's id as any command, decided again after
 * conflicts unless `expected` is a version, and the state that the handler keeps follows. For imports and for categories
 * that have no rules (`stateless`); whoever has rules puts them into a decider.
 * @param decider of the events' category
 * @throws as `execute`; EventStoreError `commit/invalid` without events
 */
export async function appendEvents<State, Command, Event extends Message, R extends Rejection>(
  handler: Pick<Handler, 'commitAll'>,
  decider: Decider<State, Command, Event, R>,
  id: string,
  events: readonly Event[],
  meta: CommandMeta,
  { expected = 'any' }: { readonly expected?: Expectation | undefined } = {},
): Promise<AppendEventsResult> {
  if (events.length === 0)
    throw new EventStoreError('commit/invalid', 'There are no events: give one or more.');
  const result = await handler.commitAll([part(freely(decider), id, () => events, expected)], meta);
  if (result.outcome === 'accepted')
    return { outcome: 'accepted', version: result.versions[0] ?? 0, repeated: result.repeated };
  if (result.outcome === 'conflict' || result.outcome === 'key-reused') return result;
  throw new RangeError(`appending events came to ${result.outcome}`);
}

/** A category without state and rules: its command is the events themselves. Made once, beside its events. */
export function stateless<Event extends Message>(
  source: EventSource & { readonly events: readonly EventSchema<Event>[] },
): Decider<null, readonly Event[], Event, never> {
  return { ...source, initial: null, evolve: () => null, decide: (events) => events };
}
