import { deepStrictEqual, match, ok } from 'node:assert/strict';
import {
  create,
  type DescEnum,
  type DescField,
  type DescMessage,
  type Message,
  ScalarType,
} from '@bufbuild/protobuf';
import { FeatureSet_FieldPresence } from '@bufbuild/protobuf/wkt';
import fc from 'fast-check';
import { codecOf, type EventCodec } from '../eventstore/codec/event-codec.ts';
import type { Decider, EventSource, Rejection } from '../eventstore/decider.ts';
import { WITHOUT_KEYS } from '../eventstore/personal/personal-data.ts';
import { deepFreeze, evolvedFrom } from './given.ts';

/** A rule that holds for every decider. `check` throws with the smallest counterexample and its seed. */
export interface Property {
  /** The rule, as the name of a test. */
  readonly name: string;
  check(): void;
}

/** How the rules are tried. */
export interface PropertyOptions<Command> {
  /** Histories of commands; without them only the rules about events are tried. */
  readonly commands?: fc.Arbitrary<readonly Command[]>;
  /** Any event, in any order and with any content; made from the proto unless given. */
  readonly events?: fc.Arbitrary<Message>;
  /** Passed on to `fc.assert`: `numRuns`, `seed`, `path`. */
  readonly run?: fc.Parameters<unknown>;
}

/** One command of a history: what was decided on which state, and the state that followed. */
export interface HistoryStep<State, Command, Event> {
  readonly command: Command;
  readonly before: State;
  readonly outcome: readonly Event[] | Rejection;
  /** Empty when the command was rejected or had nothing to do. */
  readonly events: readonly Event[];
  readonly after: State;
}

/** Asks the commands one after the other, as the kernel would, on frozen states. */
export function runCommands<State, Command, Event extends Message, R extends Rejection>(
  decider: Decider<State, Command, Event, R>,
  commands: readonly Command[],
): HistoryStep<State, Command, Event>[] {
  let state = deepFreeze(decider.initial);
  return commands.map((command) => {
    const before = state;
    const outcome = decider.decide(deepFreeze(command), before);
    const events = 'code' in outcome ? [] : outcome;
    state = deepFreeze(events.reduce(decider.evolve, before));
    return { command, before, outcome, events, after: state };
  });
}

/**
 * The rules that hold for every decider, whatever it decides. For each: `test(name, check)`.
 * @returns the rules about events, and with `commands` those about decisions too
 */
export function deciderProperties<State, Command, Event extends Message, R extends Rejection>(
  decider: Decider<State, Command, Event, R>,
  options: PropertyOptions<Command> = {},
): Property[] {
  const { commands, run = {} } = options;
  // The arbitrary makes messages of exactly the decider's schemas, or is the caller's own for them.
  const anyEvent = (options.events ?? anyEventOf(decider)) as fc.Arbitrary<Event>;
  const rule = <T>(name: string, arbitrary: fc.Arbitrary<T>, holds: (value: T) => void): Property => ({
    name: `${decider.category}: ${name}`,
    check: () => fc.assert(fc.property(arbitrary, holds), run as fc.Parameters<[T]>),
  });
  const rules = [...rulesOfEvents(decider, anyEvent, rule)];
  if (commands !== undefined) rules.push(...rulesOfDecisions(decider, commands, anyEvent, rule));
  return rules;
}

/** One key for everybody. */
const KEY = { number: 1, key: new Uint8Array(32).fill(1), until: Number.POSITIVE_INFINITY };
const SEAL = { id: 'a', keys: { get: () => KEY } };

/** Whether everybody whom an event is about is named; others are never stored. */
function namesPersons<Event extends Message>(codec: EventCodec<Event>, event: Event): boolean {
  try {
    codec.persons(event, SEAL.id);
    return true;
  } catch {
    return false;
  }
}

type Rule = <T>(name: string, arbitrary: fc.Arbitrary<T>, holds: (value: T) => void) => Property;

function rulesOfEvents<State, Command, Event extends Message, R extends Rejection>(
  decider: Decider<State, Command, Event, R>,
  anyEvent: fc.Arbitrary<Event>,
  rule: Rule,
): Property[] {
  const codec = codecOf<Event>(decider);
  const some = fc.array(anyEvent, { maxLength: 8 });
  return [
    rule('every event comes back from its bytes as it was', anyEvent, (event) => {
      deepStrictEqual(codec.decode(codec.encode(event)), event);
    }),
    rule('any events in any order are folded, and no argument is changed', some, (events) => {
      events.reduce((state, event) => deepFreeze(decider.evolve(state, event)), deepFreeze(decider.initial));
    }),
    rule('the stored bytes fold to the state in memory', some, (events) => {
      deepStrictEqual(
        events.reduce(evolvedFrom(decider), decider.initial),
        events.reduce(decider.evolve, decider.initial),
      );
    }),
    rule('what is sealed folds to the state of what is not, once it is opened', some, (events) => {
      const named = events.filter((event) => namesPersons(codec, event));
      const sealed = named.map((event) => codec.decode(codec.encode(event, SEAL), SEAL.id));
      const kept = sealed.reduce(decider.evolve, decider.initial);
      const opened = WITHOUT_KEYS.openNow(kept, SEAL.keys).value;
      deepStrictEqual(opened, named.reduce(decider.evolve, decider.initial));
    }),
    rule('a structured clone of a state is that state', some, (events) => {
      const state = events.reduce(decider.evolve, decider.initial);
      deepStrictEqual(structuredClone(state), state);
    }),
  ];
}

function rulesOfDecisions<State, Command, Event extends Message, R extends Rejection>(
  decider: Decider<State, Command, Event, R>,
  commands: fc.Arbitrary<readonly Command[]>,
  anyEvent: fc.Arbitrary<Event>,
  rule: Rule,
): Property[] {
  const codeOfCategory = new RegExp(`^${decider.category}/[a-z0-9-]+$`);
  const mixed = fc.tuple(commands, fc.array(anyEvent, { maxLength: 5 }));
  return [
    rule('a command that was just accepted has nothing to do when it is repeated', commands, (all) => {
      for (const { command, events, after } of runCommands(decider, all))
        if (events.length > 0) deepStrictEqual(decider.decide(command, after), []);
    }),
    rule('every command is answered with events or a rejection of the category', commands, (all) => {
      for (const { outcome } of runCommands(decider, all)) {
        if ('code' in outcome) match(outcome.code, codeOfCategory);
        else ok(Array.isArray(outcome), 'a decision is an array of events or a rejection');
      }
    }),
    rule('the same is decided again on the same state, and on a structured clone of it', commands, (all) => {
      for (const { command, before, outcome } of runCommands(decider, all)) {
        deepStrictEqual(decider.decide(command, before), outcome);
        deepStrictEqual(decider.decide(command, structuredClone(before)), outcome);
      }
    }),
    rule('any event is folded on any state that commands lead to', mixed, ([all, events]) => {
      const reached = runCommands(decider, all).at(-1)?.after ?? decider.initial;
      events.reduce((state, event) => deepFreeze(decider.evolve(state, event)), reached);
    }),
    rule('the stored bytes of decisions fold to the state that was decided on', commands, (all) => {
      const steps = runCommands(decider, all);
      const folded = steps.flatMap(({ events }) => events).reduce(evolvedFrom(decider), decider.initial);
      deepStrictEqual(folded, steps.at(-1)?.after ?? decider.initial);
    }),
  ];
}

/** Any event of a category, whether or not anybody would ever write it, made from its proto. */
export function anyEventOf(source: EventSource): fc.Arbitrary<Message> {
  return fc.oneof(...source.events.map((schema) => anyMessageOf(schema)));
}

/** Deeper messages than this are left out, since a proto may contain itself. */
const DEEPEST = 3;

/** Any message of a schema, made from its proto. */
function anyMessageOf(schema: DescMessage, depth = 0): fc.Arbitrary<Message> {
  const fields: Record<string, fc.Arbitrary<unknown>> = {};
  const always: string[] = [];
  for (const field of schema.fields) {
    const value = field.oneof === undefined ? anyField(field, depth) : undefined;
    if (value === undefined) continue;
    fields[field.localName] = value;
    if (field.fieldKind !== 'message' && field.presence !== FeatureSet_FieldPresence.EXPLICIT)
      always.push(field.localName);
  }
  for (const { localName, fields: members } of schema.oneofs) {
    const cases = members.flatMap((field) => {
      const value = anyField(field, depth);
      return value === undefined ? [] : [value.map((v) => ({ case: field.localName, value: v }))];
    });
    if (cases.length > 0) fields[localName] = fc.oneof(...cases);
  }
  return fc.record(fields, { requiredKeys: always }).map((init) => create(schema, init));
}

function anyField(field: DescField, depth: number): fc.Arbitrary<unknown> | undefined {
  switch (field.fieldKind) {
    case 'scalar':
      return anyScalar(field.scalar, field.longAsString);
    case 'enum':
      return anyEnum(field.enum);
    case 'message':
      return depth < DEEPEST ? anyMessageOf(field.message, depth + 1) : undefined;
    case 'list': {
      const item =
        field.listKind === 'scalar' ? anyScalar(field.scalar, field.longAsString) : anyPart(field, depth);
      return item && fc.array(item, { maxLength: 3 });
    }
    case 'map': {
      const value = field.mapKind === 'scalar' ? anyScalar(field.scalar) : anyPart(field, depth);
      return value && fc.dictionary(anyScalar(field.mapKey).map(String), value, { maxKeys: 3 });
    }
    default:
      return field satisfies never;
  }
}

function anyPart(
  {
    enum: values,
    message,
  }: { readonly enum: DescEnum | undefined; readonly message: DescMessage | undefined },
  depth: number,
): fc.Arbitrary<unknown> | undefined {
  if (values !== undefined) return anyEnum(values);
  return message === undefined || depth >= DEEPEST ? undefined : anyMessageOf(message, depth + 1);
}

const anyEnum = ({ values }: DescEnum): fc.Arbitrary<number> =>
  fc.constantFrom(...values.map(({ number }) => number));

/** Few short texts, so that two events often name the same. */
const text = fc.oneof(fc.constantFrom('', 'a', 'b'), fc.string({ unit: 'grapheme', maxLength: 8 }));
const signed64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const unsigned64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });

function anyScalar(type: ScalarType, longAsString = false): fc.Arbitrary<unknown> {
  const long = (value: fc.Arbitrary<bigint>) => (longAsString ? value.map(String) : value);
  switch (type) {
    case ScalarType.STRING:
      return text;
    case ScalarType.BOOL:
      return fc.boolean();
    case ScalarType.BYTES:
      return fc.uint8Array({ maxLength: 8 });
    case ScalarType.DOUBLE:
    case ScalarType.FLOAT:
      // Minus zero is the default to the wire.
      return (type === ScalarType.FLOAT ? fc.float() : fc.double()).map((value) => value + 0);
    case ScalarType.INT32:
    case ScalarType.SINT32:
    case ScalarType.SFIXED32:
      return fc.integer();
    case ScalarType.UINT32:
    case ScalarType.FIXED32:
      return fc.nat({ max: 2 ** 32 - 1 });
    case ScalarType.UINT64:
    case ScalarType.FIXED64:
      return long(unsigned64);
    default:
      return long(signed64);
  }
}
