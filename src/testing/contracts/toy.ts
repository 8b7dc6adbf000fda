import { create, type Message } from '@bufbuild/protobuf';
import {
  type Int32Value,
  Int32ValueSchema,
  type StringValue,
  StringValueSchema,
} from '@bufbuild/protobuf/wkt';
import { codecOf } from '../../eventstore/codec/event-codec.ts';
import type { Decider, Rejection } from '../../eventstore/decider.ts';
import type { StreamRef } from '../../eventstore/stream.ts';
import { type Commit, CommitSchema, DecisionSchema } from '../../gen/jetledger/eventstore/v1/commit_pb.ts';

/** A toy aggregate that the kernel has never heard of: numbers are added, notes are kept, the total stays above zero. */
export type CounterEvent = Int32Value | StringValue;

export type CounterCommand =
  | { readonly kind: 'add'; readonly by: number }
  | { readonly kind: 'note'; readonly text: string };

export interface CounterState {
  readonly total: number;
  readonly notes: readonly string[];
}

export const added = (by: number): Int32Value => create(Int32ValueSchema, { value: by });
export const noted = (text: string): StringValue => create(StringValueSchema, { value: text });

export const counter: Decider<CounterState, CounterCommand, CounterEvent, Rejection> = {
  category: 'counter',
  events: [Int32ValueSchema, StringValueSchema],
  initial: { total: 0, notes: [] },
  evolve: (state, event) =>
    event.$typeName === 'google.protobuf.Int32Value'
      ? { ...state, total: state.total + event.value }
      : { ...state, notes: [...state.notes, event.value] },
  decide: (command, state) => {
    if (command.kind === 'note') return state.notes.includes(command.text) ? [] : [noted(command.text)];
    if (state.total + command.by < 0)
      return { code: 'counter/below-zero', message: 'The total stays above zero.' };
    return command.by === 0 ? [] : [added(command.by)];
  },
};

/** A stream of the toy's category. */
export const counterRef = (id: string): StreamRef => ({ category: counter.category, id });

/** A commit with one decision for each list of events. */
export function toyCommit(commitId: string, ...decisions: readonly (readonly CounterEvent[])[]): Commit {
  const codec = codecOf<CounterEvent>(counter);
  return create(CommitSchema, {
    commitId,
    decisions: decisions.map((events, index) =>
      create(DecisionSchema, {
        commandId: `${commitId}-command-${index + 1}`,
        actor: 'test',
        time: 1_900_000_000_000n,
        events: events.map((event) => codec.encode(event)),
      }),
    ),
  });
}

/** The events of stored decisions, as plain numbers and texts. */
export function toyValues(decisions: Commit['decisions']): (number | string)[] {
  const codec = codecOf<CounterEvent & Message>(counter);
  return decisions.flatMap((decision) => decision.events.map((event) => codec.decode(event).value));
}
