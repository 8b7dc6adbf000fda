import { deepStrictEqual, fail } from 'node:assert/strict';
import type { Message } from '@bufbuild/protobuf';
import { codecOf } from '../eventstore/codec/event-codec.ts';
import type { Decider, Rejection } from '../eventstore/decider.ts';
import { positionOf } from '../eventstore/position.ts';
import type { StreamRef } from '../eventstore/stream.ts';
import type { EventContext, Projection } from '../projections/engine/projection.ts';

/** What a command came to; every look throws an `AssertionError` that shows both sides when it is otherwise. */
export interface When<State, Event extends Message> {
  /** The command was accepted with exactly these events. */
  thenEvents(...expected: readonly Event[]): When<State, Event>;
  /** The command was accepted and there was nothing to do. */
  thenNothing(): When<State, Event>;
  /** The command was refused with this code. @param details of the rejection, where they matter */
  thenRejected(code: string, details?: Rejection['details']): When<State, Event>;
  /** The state after the events, those of the command included. */
  thenState(expected: State): When<State, Event>;
}

/** An aggregate with a history. */
export interface Given<State, Command, Event extends Message> {
  /** Its state, folded from the bytes of its history. */
  readonly state: State;
  /** Decides a command on it. */
  when(command: Command): When<State, Event>;
}

/**
 * An aggregate to which these events have happened: `given(tank, filled(5)).when({ drain: 6 }).thenRejected('tank/too-empty')`.
 * Events go through their stored bytes, as they do in the log, and states are frozen, so that a decider that changes its
 * arguments throws.
 * @throws UnknownEventType for an event that the decider does not name
 */
export function given<State, Command, Event extends Message, R extends Rejection>(
  decider: Decider<State, Command, Event, R>,
  ...history: readonly NoInfer<Event>[]
): Given<State, Command, Event> {
  const state = history.reduce(evolvedFrom(decider), deepFreeze(decider.initial));
  return { state, when: (command) => decided(decider, state, command) };
}

/** A step of the fold as the kernel does it: through the bytes of the event, on a state that nobody can change. */
export function evolvedFrom<State, Command, Event extends Message, R extends Rejection>(
  decider: Decider<State, Command, Event, R>,
): (state: State, event: Event) => State {
  const codec = codecOf<Event>(decider);
  return (state, event) => deepFreeze(decider.evolve(state, codec.decode(codec.encode(event))));
}

function decided<State, Command, Event extends Message, R extends Rejection>(
  decider: Decider<State, Command, Event, R>,
  before: State,
  command: Command,
): When<State, Event> {
  const outcome = decider.decide(deepFreeze(command), before);
  const events = 'code' in outcome ? [] : outcome;
  const when: When<State, Event> = {
    thenEvents: (...expected) => {
      if ('code' in outcome)
        fail(`expected events, and it was rejected with ${outcome.code}: ${outcome.message}`);
      deepStrictEqual([...events], expected);
      return when;
    },
    thenNothing: () => when.thenEvents(),
    thenRejected: (code, details) => {
      if (!('code' in outcome))
        fail(`expected the rejection ${code}, and it was accepted with ${listed(events)}`);
      deepStrictEqual(outcome.code, code);
      if (details !== undefined) deepStrictEqual(outcome.details, details);
      return when;
    },
    thenState: (expected) => {
      deepStrictEqual(events.reduce(evolvedFrom(decider), before), expected);
      return when;
    },
  };
  return when;
}

const listed = (events: readonly Message[]): string =>
  events.length === 0 ? 'no events' : events.map(({ $typeName }) => $typeName).join(', ');

/** What one aggregate stored at once. */
export interface GivenCommit {
  readonly stream: StreamRef;
  readonly events: readonly Message[];
  /** When it was decided, in milliseconds since the Unix epoch; one millisecond after the one before unless given. */
  readonly time?: number;
  readonly actor?: string;
}

/** The rows of a view; every look throws an `AssertionError` that shows both sides when it is otherwise. */
export interface GivenRows<Row> {
  readonly rows: ReadonlyMap<string, Row>;
  thenRow(key: string, expected: Row): GivenRows<Row>;
  thenNoRow(key: string): GivenRows<Row>;
}

/** The first position and the time of what is given without one: 2030 began. */
const BEGAN = Date.UTC(2030, 0, 1);

/**
 * The rows of a view after these commits, in the order of the log. Events go through their stored bytes and rows through
 * JSON, as they do in a bucket.
 * @throws UnknownEventType for an event of a category that names others; AssertionError for a row that JSON does not keep
 */
export function givenCommits<Row, Event extends Message>(
  view: Projection<Row, Event>,
  ...commits: readonly GivenCommit[]
): GivenRows<Row> {
  const rows = new Map<string, Row>();
  for (const [index, commit] of commits.entries()) applyCommit(view, rows, commit, index);
  const looked: GivenRows<Row> = {
    rows,
    thenRow: (key, expected) => {
      deepStrictEqual(rows.get(key), expected);
      return looked;
    },
    thenNoRow: (key) => {
      if (rows.has(key)) fail(`expected no row ${key}, and it is ${JSON.stringify(rows.get(key))}`);
      return looked;
    },
  };
  return looked;
}

function applyCommit<Row, Event extends Message>(
  view: Projection<Row, Event>,
  rows: Map<string, Row>,
  { stream, events, time, actor = 'test' }: GivenCommit,
  index: number,
): void {
  const source = view.sources.find(({ category }) => category === stream.category);
  if (source === undefined) return;
  const codec = codecOf<Event>(source);
  const context: EventContext = {
    stream,
    position: positionOf(index + 1),
    time: time ?? BEGAN + index,
    commitId: `commit-${index + 1}`,
    actor,
    traceparent: '',
  };
  for (const given of events) {
    // The codec refuses whatever is no event of the category.
    const event = codec.decode(codec.encode(given as Event));
    const key = view.keyOf(event, context);
    if (key === undefined) continue;
    const row = view.evolve(deepFreeze(rows.get(key)), event, context);
    if (row === undefined) rows.delete(key);
    else rows.set(key, throughJson(view.name, row));
  }
}

function throughJson<Row>(view: string, row: Row): Row {
  const kept = JSON.parse(JSON.stringify(row)) as Row;
  deepStrictEqual(kept, row, `JSON does not keep a row of ${view} as it is`);
  return kept;
}

/** Freezes plain data all the way down, so that a function that changes its arguments throws. */
export function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value) || ArrayBuffer.isView(value))
    return value;
  Object.freeze(value);
  Object.values(value).forEach(deepFreeze);
  return value;
}
