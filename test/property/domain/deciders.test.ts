import type { Message } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Decider, Rejection } from '../../../src/eventstore/index.ts';
import { aggregates } from '../../../src/service/shop.ts';
import { anyEvent } from './arbitraries.ts';
import { run, throughBytes } from './history.ts';

/** The rules that hold for every decider, whatever it decides. */
function describeDecider<State, Command, Event extends Message, R extends Rejection>(
  decider: Decider<State, Command, Event, R>,
  commands: fc.Arbitrary<Command[]>,
) {
  describe(`the decider of ${decider.category}`, () => {
    test('answers a command that was just accepted with no events when it is repeated', () => {
      fc.assert(
        fc.property(commands, (all) => {
          for (const { command, events, after } of run(decider, all)) {
            if (events.length > 0) expect(decider.decide(command, after)).toEqual([]);
          }
        }),
      );
    });

    test('answers every command with events or a rejection of its category, and changes no argument', () => {
      fc.assert(
        fc.property(commands, (all) => {
          for (const { outcome } of run(decider, all)) {
            if ('code' in outcome) expect(outcome.code).toMatch(new RegExp(`^${decider.category}/[a-z-]+$`));
            else expect(Array.isArray(outcome)).toBe(true);
          }
        }),
      );
    });

    test('decides the same again on the same state', () => {
      fc.assert(
        fc.property(commands, (all) => {
          expect(run(decider, all)).toEqual(run(decider, all));
        }),
      );
    });

    test('folds any event on any reachable state', () => {
      fc.assert(
        fc.property(commands, fc.array(anyEvent(decider), { maxLength: 5 }), (all, events) => {
          const state = run(decider, all).at(-1)?.after ?? decider.initial;
          expect(events.reduce(decider.evolve, state)).toHaveProperty('status');
        }),
      );
    });

    test('gets every event back from its bytes as it was, whatever it holds', () => {
      fc.assert(
        fc.property(anyEvent(decider), (event) => {
          expect(throughBytes(decider.events, event)).toEqual(event);
        }),
      );
    });

    test('folds the stored bytes to the state in memory', () => {
      fc.assert(
        fc.property(commands, (all) => {
          const steps = run(decider, all);
          const stored = steps.flatMap((step) => step.events).map((e) => throughBytes(decider.events, e));
          expect(stored.reduce(decider.evolve, decider.initial)).toEqual(
            steps.at(-1)?.after ?? decider.initial,
          );
        }),
      );
    });

    test('goes on from a structured clone of any state as from the state itself', () => {
      fc.assert(
        fc.property(commands, (all) => {
          for (const { command, before, outcome, after } of run(decider, all)) {
            expect(structuredClone(after)).toEqual(after);
            expect(decider.decide(command, structuredClone(before))).toEqual(outcome);
          }
        }),
        { numRuns: 30 },
      );
    });
  });
}

/** A file of commands for each category, so that a new aggregate brings its own and no list has to know it. */
async function commandsOf(category: string): Promise<fc.Arbitrary<unknown[]>> {
  try {
    const { commands } = (await import(`./commands/${category}.ts`)) as { commands: fc.Arbitrary<unknown[]> };
    return commands;
  } catch (cause) {
    throw new Error(
      `The decider of ${category} has no commands to be tried with: write test/property/domain/commands/${category}.ts ` +
        'with an export `commands`, arrays of its commands. See docs/add-an-aggregate.md.',
      { cause },
    );
  }
}

for (const aggregate of aggregates) {
  const decider = aggregate as Decider<unknown, unknown, Message, Rejection>;
  describeDecider(decider, await commandsOf(decider.category));
}

test.each(aggregates.map((decider) => [decider.category, decider] as const))(
  'every message in the proto of %s is among its events, parts of events aside',
  (_category, { events }) => {
    const messages = events[0]?.file.messages ?? [];
    const parts = new Set(messages.flatMap(({ fields }) => fields.map(({ message }) => message?.typeName)));
    const names = messages.filter(({ typeName }) => !parts.has(typeName)).map(({ name }) => name);
    expect(events.map((schema) => schema.name).sort()).toEqual(names.sort());
    expect(names.length).toBeGreaterThan(0);
  },
);
