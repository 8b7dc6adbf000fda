import type { Entry } from './enter.ts';
import { article, identifierOf } from './names.ts';

/** A new file: where it goes, and its text. */
export interface NewFile {
  readonly path: string;
  readonly text: string;
}

/** Where the parts of a service are, and how they name the kernel. */
export interface Layout {
  readonly list: string;
  readonly viewFolder: string;
  readonly viewTests: string;
  /** The file of a decider. */
  readonly decider: (aggregate: string) => string;
  /** What a file of this folder imports `what` from: the kernel's doors, and a file of the service. */
  readonly door: (door: 'eventstore' | 'projections' | 'testing', from: string) => string;
  /** A new reaction to the events of an aggregate, and its test. */
  readonly reaction: (name: string, aggregate: string) => NewFile[];
  /** The files of a new aggregate. */
  readonly aggregate: (root: string, service: string, name: string) => NewFile[];
  /** How its routes are entered in the list. */
  readonly routes: (name: string) => Entry;
  /** What is to be run next. */
  readonly next: string;
}

/** `src/domain/task.ts` as a file of `src/views` imports it: `../domain/task.ts`. */
export function relativeTo(folder: string, path: string): string {
  const from = folder.split('/');
  const to = path.split('/');
  while (from.length > 0 && from[0] === to[0]) {
    from.shift();
    to.shift();
  }
  return `${from.length === 0 ? './' : '../'.repeat(from.length)}${to.join('/')}`;
}

const capital = (word: string): string => word.charAt(0).toUpperCase() + word.slice(1);

/** A view that counts what happened to each aggregate, to be made what is wanted. */
export function viewFiles(layout: Layout, name: string, aggregate: string): NewFile[] {
  return [
    { path: `${layout.viewFolder}/${name}.ts`, text: viewText(layout, name, aggregate) },
    { path: `${layout.viewTests}/${name}.test.ts`, text: viewTestText(layout, name, aggregate) },
  ];
}

function viewText({ viewFolder, decider, door }: Layout, name: string, aggregate: string): string {
  const id = identifierOf(name);
  const row = `${capital(id)}Row`;
  return `import type { Message } from '@bufbuild/protobuf';
import { ${aggregate} } from '${relativeTo(viewFolder, decider(aggregate))}';
import type { Projection } from '${door('projections', viewFolder)}';

/** What happened to ${article(aggregate)} ${aggregate} so far. */
export interface ${row} {
  readonly id: string;
  readonly events: number;
  /** The type of the last one. */
  readonly last: string;
}

/** One row for each ${aggregate}, by its id. Raise \`version\` when \`evolve\` or \`keyOf\` changes its meaning. */
export const ${id}: Projection<${row}, Message> = {
  name: '${name.replaceAll('-', '_')}',
  version: 1,
  sources: [${aggregate}],
  crossesAggregates: false,
  keyOf: (_event, { stream }) => stream.id,
  evolve: (row, { $typeName }, { stream }) => ({
    id: stream.id,
    events: (row?.events ?? 0) + 1,
    last: ${typeOf},
  }),
};
`;
}

function viewTestText(
  { viewFolder, viewTests, decider, door }: Layout,
  name: string,
  aggregate: string,
): string {
  const id = identifierOf(name);
  return `import { create, type DescMessage } from '@bufbuild/protobuf';
import { it } from 'vitest';
import { ${aggregate} } from '${relativeTo(viewTests, decider(aggregate))}';
import { ${id} } from '${relativeTo(viewTests, `${viewFolder}/${name}.ts`)}';
import { givenCommits } from '${door('testing', viewTests)}';

const stream = { category: ${aggregate}.category, id: 'a' };
const events = ${aggregate}.events.map((schema: DescMessage) => create(schema));

it('${name} counts the events of ${article(aggregate)} ${aggregate} and names the last', () => {
  const last = ${aggregate}.events.at(-1)?.name ?? '';
  givenCommits(${id}, { stream, events }).thenRow('a', { id: 'a', events: events.length, last });
  givenCommits(${id}).thenNoRow('a');
});
`;
}

/** The short name of an event's type, as code. */
export const typeOf = "$typeName.slice($typeName.lastIndexOf('.') + 1)";

/** A reaction of a generated service: it announces what happened. */
export function announcingReaction(name: string, aggregate: string): NewFile[] {
  return [
    { path: `src/reactions/${name}.ts`, text: announcingText(name, aggregate) },
    { path: `test/${name}.test.ts`, text: announcingTestText(name, aggregate) },
  ];
}

const announcingText = (
  name: string,
  aggregate: string,
): string => `import { ${aggregate} } from '../domain/${aggregate}.ts';
import type { ReactionDefinition } from './reaction-definition.ts';

const name = '${name}';

/** Announces every event of ${article(aggregate)} ${aggregate}: each at least once, and in their order. */
export const ${identifierOf(name)}: ReactionDefinition = {
  name,
  create: ({ announce }) => ({
    name,
    sources: [${aggregate}],
    // What happened before this reaction first ran is none of its business.
    from: 'now',
    handle: async ({ stream: { category, id: of }, events }) => {
      for (const { id, event: { $typeName } } of events) {
        await announce({ id, category, of, what: ${typeOf} });
      }
    },
  }),
};
`;

function announcingTestText(name: string, aggregate: string): string {
  const id = identifierOf(name);
  return `import { create, type DescMessage } from '@bufbuild/protobuf';
import { appendEvents } from 'jetledger/eventstore';
import { inTestLedger, type TestParts } from 'jetledger/testing';
import { expect, it } from 'vitest';
import { ${aggregate} } from '../src/domain/${aggregate}.ts';
import { ${id} } from '../src/reactions/${name}.ts';
import type { Announcement } from '../src/reactions/reaction-definition.ts';

it('${name} announces every event, in order, also when a process dies', async () => {
  const told = new Map<string, string>();
  const announce = async ({ id, what }: Announcement): Promise<void> => {
    told.set(id, what);
  };
  const reactions = (parts: TestParts) => [${id}.create({ announce }, parts)];
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
}
