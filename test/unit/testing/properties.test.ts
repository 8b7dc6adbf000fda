import { create } from '@bufbuild/protobuf';
import { type Struct, StructSchema } from '@bufbuild/protobuf/wkt';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Decider, Rejection } from '../../../src/eventstore/decider.ts';
import { added, type CounterCommand, counter } from '../../../src/testing/contracts/toy.ts';
import { deciderProperties } from '../../../src/testing/properties.ts';

const commands: fc.Arbitrary<CounterCommand[]> = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('note' as const), text: fc.constantFrom('a', 'b') }),
    fc.record({ kind: fc.constant('add' as const), by: fc.constantFrom(0) }),
  ),
  { maxLength: 8 },
);

const broken = (decider: typeof counter): string[] =>
  deciderProperties(decider, { commands, run: { seed: 1 } }).flatMap(({ name, check }) => {
    try {
      check();
      return [];
    } catch {
      return [name];
    }
  });

describe('the properties of deciders', () => {
  it('hold for a sound decider', () => {
    expect(broken(counter)).toEqual([]);
    expect(deciderProperties(counter, { commands })).toHaveLength(10);
    expect(deciderProperties(counter)).toHaveLength(5);
  });

  it('find a fold that is not total', () => {
    const evolve: typeof counter.evolve = (state, event) => {
      if (event.value === 'b') throw new Error('b is not known');
      return counter.evolve(state, event);
    };
    expect(broken({ ...counter, evolve })).toContain(
      'counter: any events in any order are folded, and no argument is changed',
    );
  });

  it('find a command that does something again when it is repeated', () => {
    const decide: typeof counter.decide = (command, state) =>
      command.kind === 'note' ? [added(1)] : counter.decide(command, state);
    expect(broken({ ...counter, decide })).toEqual([
      'counter: a command that was just accepted has nothing to do when it is repeated',
    ]);
  });

  it('find a rejection of another category', () => {
    const decide: typeof counter.decide = () => ({ code: 'tank/no', message: 'No.' });
    expect(broken({ ...counter, decide })).toEqual([
      'counter: every command is answered with events or a rejection of the category',
    ]);
  });

  it('find a decision that rests on something else than command and state', () => {
    let calls = 0;
    const decide: typeof counter.decide = () =>
      calls++ % 2 === 0 ? [] : { code: 'counter/odd', message: 'Odd.' };
    expect(broken({ ...counter, decide })).toContain(
      'counter: the same is decided again on the same state, and on a structured clone of it',
    );
  });

  it('find a state that no snapshot can hold', () => {
    class Total {
      readonly notes = [];
      readonly total = 0;
    }
    expect(broken({ ...counter, evolve: () => new Total() })).toContain(
      'counter: a structured clone of a state is that state',
    );
  });

  it('make events of every kind of field from the proto', () => {
    const keeper: Decider<Struct, never, Struct, Rejection> = {
      category: 'keeper',
      events: [StructSchema],
      initial: create(StructSchema),
      evolve: (_state, event) => event,
      decide: () => [],
    };
    const kinds = new Set<string>();
    const watched = {
      ...keeper,
      evolve: (_state: Struct, event: Struct) => {
        for (const { kind } of Object.values(event.fields)) kinds.add(kind.case ?? 'none');
        return event;
      },
    };
    for (const { check } of deciderProperties(watched, { run: { seed: 1 } })) check();
    expect([...kinds].sort()).toEqual([
      'boolValue',
      'listValue',
      'none',
      'nullValue',
      'numberValue',
      'stringValue',
      'structValue',
    ]);
  });
});
