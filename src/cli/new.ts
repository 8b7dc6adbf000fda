import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { article, CannotMake, identifierOf, pluralOf } from '../generator/names.ts';
import { filesOf, makeNew, renamedFile, USAGE } from '../generator/new.ts';
import { type Layout, type NewFile, typeOf } from '../generator/parts.ts';
import { type Command, UsageError } from './command.ts';

const COUPON = 'coupon';

/** How this service is laid out: its example of an aggregate is the one of docs/add-an-aggregate.md. */
const shopLayout: Layout = {
  list: 'src/service/shop.ts',
  viewFolder: 'src/projections/views',
  viewTests: 'test/unit/projections',
  decider: (aggregate) => `src/domain/${aggregate}.ts`,
  door: (door, from) => {
    if (from !== 'src/projections/views') return `../../../src/${door}/index.ts`;
    return door === 'projections' ? '../engine/index.ts' : `../../${door}/index.ts`;
  },
  reaction: shopReaction,
  aggregate: (root, _service, name) =>
    filesOf(join(root, 'test/fixtures', COUPON))
      .filter(({ path }) => !path.includes('reward'))
      .map((file) => renamedFile(file, COUPON, name)),
  routes: (name) => ({
    array: 'apiModules',
    element: `(await import('../api/routes/${pluralOf(name)}.ts')).${name}Api`,
  }),
  next: 'make fix && make check && make test',
};

/** A reaction of the shop: it tells what happened, to be made what is wanted. */
function shopReaction(name: string, aggregate: string): NewFile[] {
  const id = identifierOf(name);
  const made = `create${id.charAt(0).toUpperCase()}${id.slice(1)}`;
  return [
    { path: `src/processes/order/${name}.ts`, text: reactionText(name, aggregate, id, made) },
    { path: `test/unit/processes/order/${name}.test.ts`, text: reactionTestText(name, aggregate, made) },
  ];
}

const reactionText = (name: string, aggregate: string, id: string, made: string): string =>
  `import type { Message } from '@bufbuild/protobuf';
import { ${aggregate} } from '../../domain/${aggregate}.ts';
import type { Reaction } from '../engine/index.ts';
import type { ReactionDefinition } from './reactions.ts';

/** The entry of the service's list. */
export const ${id}: ReactionDefinition = {
  name: '${name}',
  sources: [${aggregate}],
  from: 'now',
  does: 'is told of every event of ${article(aggregate)} ${aggregate}; begins with its first start',
  create: () => ${made}(async () => undefined),
};

/** Tells of every event: each at least once, and in their order. The same id again is the same event. */
export function ${made}(tell: (id: string, type: string) => Promise<void>): Reaction<Message> {
  return {
    name: ${id}.name,
    sources: ${id}.sources,
    from: ${id}.from,
    handle: async ({ events }) => {
      for (const { id, event: { $typeName } } of events) {
        await tell(id, ${typeOf});
      }
    },
  };
}
`;

const reactionTestText = (name: string, aggregate: string, made: string): string =>
  `import { create, type DescMessage } from '@bufbuild/protobuf';
import { expect, it } from 'vitest';
import { ${aggregate} } from '../../../../src/domain/${aggregate}.ts';
import { appendEvents } from '../../../../src/eventstore/index.ts';
import { ${made} } from '../../../../src/processes/order/${name}.ts';
import { inTestLedger } from '../../../../src/testing/index.ts';

it('${name} is told of every event, in order, also when a process dies', async () => {
  const told = new Map<string, string>();
  const reactions = () => [
    ${made}(async (id, type) => {
      told.set(id, type);
    }),
  ];
  // Messages of exactly its schemas.
  const events = ${aggregate}.events.map((schema: DescMessage) => create(schema)) as never[];
  await inTestLedger({ reactions }, async ({ handler, settled, restart }) => {
    await settled();
    await appendEvents(handler, ${aggregate}, 'a', events, { commandId: 'c1', actor: 'test' });
    restart();
    await settled();
    expect([...told.values()]).toEqual(${aggregate}.events.map(({ name }) => name));
  });
});
`;

/** `jetledger new`: makes a service on the kernel, or adds to this one. */
export const newCommand: Command = {
  name: 'new',
  usage: USAGE,
  summary: 'Make a service on the kernel, or add an aggregate, a view or a reaction.',
  help: `A service is made in a new folder and stands on its own: \`make test\` and \`make run\` work there. An aggregate, a view or
a reaction is added to the service of this folder and entered in its list, with tests that pass. Where
proto/SERVICE/NAME/v1/NAME.proto is there already, a service that was made so gets an aggregate of its messages.

Examples:
  jetledger new service library --aggregate book
  jetledger new aggregate invoice
  jetledger new view late-invoices --of invoice
  jetledger new reaction remind-debtors --of invoice`,
  run: async (args, { print }) => {
    const options = { of: { type: 'string' }, aggregate: { type: 'string' } } as const;
    const { positionals, values } = parseArgs({ args: [...args], allowPositionals: true, options });
    const [kind, name, ...more] = positionals;
    if (kind === undefined || name === undefined || more.length > 0)
      throw new UsageError(`Say what: jetledger new ${USAGE}`);
    try {
      makeNew(process.cwd(), { kind, name, ...values }, print, [shopLayout]);
    } catch (error) {
      if (error instanceof CannotMake) throw new UsageError(error.message);
      throw error;
    }
    return 0;
  },
};
