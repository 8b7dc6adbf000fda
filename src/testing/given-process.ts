import { deepStrictEqual, fail } from 'node:assert/strict';
import type { Message } from '@bufbuild/protobuf';
import type { Decider, Rejection } from '../eventstore/decider.ts';
import type { StreamRef } from '../eventstore/stream.ts';
import { effectsOf, type Process, type StandardEffect } from '../processes/engine/process.ts';
import { deepFreeze, evolvedFrom } from './given.ts';

/** What a process is to do; every look throws an `AssertionError` that shows both sides when it is otherwise. */
export interface WhenProcess<Effect> {
  /** Exactly these effects, in this order. */
  thenEffects(...expected: readonly (Effect | StandardEffect)[]): void;
  /** The event belongs to no process. */
  thenNotRouted(): void;
  /** The event comes before what begins its process: it is tried again later. */
  thenTriedLater(): void;
}

/** When and where something happens. */
export interface HappensAt {
  /** The aggregate of the event; `a` of the process's first source unless given. */
  readonly stream?: StreamRef;
  /** In milliseconds since the Unix epoch; 0 unless given. */
  readonly time?: number;
}

/** A process whose state has a history. */
export interface GivenProcess<Event, State, Effect> {
  readonly state: State;
  /** An event is handled. */
  when(event: Event, at?: HappensAt): WhenProcess<Effect>;
  /** A timer of this kind fires. @param id of the process, `a` unless given */
  whenTimer(kind: string, at?: { readonly id?: string; readonly time?: number }): WhenProcess<Effect>;
}

/**
 * A process to whose state these events have happened, those of its own `state` decider. The state is folded from their
 * stored bytes and frozen; nothing is executed.
 * @throws UnknownEventType for an event that the decider of the state does not name
 */
export function givenProcess<Event extends Message, State, Effect extends { readonly type: string } = never>(
  process: Process<Event, State, Effect>,
  ...history: readonly Message[]
): GivenProcess<Event, State, Effect> {
  const decider = process.state as Decider<State, never, Message, Rejection>;
  const state = history.reduce(evolvedFrom(decider), deepFreeze(decider.initial));
  const [first] = process.sources;
  return {
    state,
    when: (event, { stream = { category: first?.category ?? '', id: 'a' }, time = 0 } = {}) => {
      const route = process.route(event, stream);
      if (route === undefined) return looked('not routed');
      if (history.length === 0 && route.as !== 'start') return looked('tried later');
      return looked(effectsOf(process, route, event, state, { id: route.id, time }));
    },
    whenTimer: (kind, { id = 'a', time = 0 } = {}) => {
      const react = process.timers?.[kind];
      if (react === undefined) throw new RangeError(`The process ${process.name} has no timer ${kind}.`);
      return looked<Effect>(react(state, { id, time }));
    },
  };
}

function looked<Effect>(
  outcome: 'not routed' | 'tried later' | readonly (Effect | StandardEffect)[],
): WhenProcess<Effect> {
  return {
    thenEffects: (...expected) => {
      if (typeof outcome === 'string') fail(`expected effects, and the event is ${outcome}`);
      deepStrictEqual([...outcome], expected);
    },
    thenNotRouted: () => deepStrictEqual(outcome, 'not routed'),
    thenTriedLater: () => deepStrictEqual(outcome, 'tried later'),
  };
}
