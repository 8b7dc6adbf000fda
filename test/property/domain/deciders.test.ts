import type { Message } from '@bufbuild/protobuf';
import type fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Decider, Rejection } from '../../../src/eventstore/index.ts';
import { aggregates } from '../../../src/service/shop.ts';
import { deciderProperties } from '../../../src/testing/properties.ts';

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
  const commands = await commandsOf(decider.category);
  test.each(deciderProperties(decider, { commands }))('$name', ({ check }) => check());
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
