import { CannotMake, pluralOf } from './names.ts';
import type { Layout, NewFile } from './parts.ts';

const capital = (word: string): string => word.charAt(0).toUpperCase() + word.slice(1);

/** The names of the messages at the top of a proto without comments. */
function messagesIn(proto: string): string[] {
  let depth = 0;
  const names: string[] = [];
  for (const [token, name] of proto.matchAll(/\bmessage\s+(\w+)\s*\{|[{}]/g)) {
    if (name !== undefined && depth === 0) names.push(name);
    depth += token === '}' ? -1 : 1;
  }
  return names;
}

/** The messages at the top of a proto, but for those that it names again: others are made of them. */
function eventsIn(proto: string): string[] {
  const plain = proto.replace(/\/\*[\s\S]*?\*\//g, '').replace(/\/\/.*$/gm, '');
  return messagesIn(plain).filter((name) => plain.match(new RegExp(`\\b${name}\\b`, 'g'))?.length === 1);
}

/** What a skeleton is made of. */
export interface OwnProto {
  readonly service: string;
  readonly name: string;
  readonly proto: string;
  readonly path: string;
}

/**
 * An aggregate whose events somebody has written down: a decider that records them, a test of it, and routes that take
 * each event as its proto says. What it decides is for its writer to say.
 * @throws CannotMake when there are no events in it
 */
export function skeletonOf(
  { service, name, proto, path }: OwnProto,
  { list }: Pick<Layout, 'list'>,
): NewFile[] {
  if (list !== 'src/service.ts')
    throw new CannotMake(`${path} is there already: take another name, or write the rest by hand.`);
  const events = eventsIn(proto);
  if (events.length === 0)
    throw new CannotMake(
      `${path} has no event: write a message for each thing that happens to ${name} there first.`,
    );
  return [
    { path: `src/domain/${name}.ts`, text: deciderText(service, name, events) },
    { path: `src/routes/${pluralOf(name)}.ts`, text: routesText(name) },
    { path: `test/${name}.test.ts`, text: testText(service, name, events) },
  ];
}

const generated = (service: string, name: string): string => `../gen/${service}/${name}/v1/${name}_pb.ts`;

function deciderText(service: string, name: string, events: readonly string[]): string {
  const type = capital(name);
  const imports = events.toSorted().flatMap((event) => [`  type ${event},`, `  ${event}Schema,`]);
  return `import { equals, isMessage } from '@bufbuild/protobuf';
import type { Decider, Rejection } from 'jetledger';
import {
${imports.join('\n')}
} from '${generated(service, name)}';

export type ${type}Event = ${events.join(' | ')};

/** Records what has happened. Replace it by what is asked. */
export interface ${type}Command {
  readonly record: ${type}Event;
}

/** What was recorded last. Replace it by what decisions need. */
export interface ${type}State {
  readonly last: ${type}Event | undefined;
}

const schemas = [${events.map((event) => `${event}Schema`).join(', ')}] as const;

export const ${name}: Decider<${type}State, ${type}Command, ${type}Event, Rejection> = {
  category: '${name}',
  events: schemas,
  initial: { last: undefined },
  evolve: (_state, event) => ({ last: event }),
  decide: ({ record }, { last }) => (last !== undefined && isSame(record, last) ? [] : [record]),
};

const isSame = (one: ${type}Event, other: ${type}Event): boolean =>
  schemas.some((schema) => isMessage(one, schema) && isMessage(other, schema) && equals(schema, one, other));
`;
}

function routesText(name: string): string {
  const many = pluralOf(name);
  return `import { type DescMessage, fromJson } from '@bufbuild/protobuf';
import { payloadSchemaOf } from 'jetledger/eventstore';
import { type ${capital(name)}Event, ${name} } from '../domain/${name}.ts';
import { commandHeaders, metaOf } from '../http/meta.ts';
import { refused } from '../http/problems.ts';
import type { RouteModule } from '../http/route-module.ts';

const answer = { type: 'object', properties: { version: { type: 'integer' } } } as const;
const problems = { '4xx': { $ref: 'Problem#' }, '5xx': { $ref: 'Problem#' } };
const params = { type: 'object', properties: { id: { type: 'string' } } } as const;

/** A route for each event, which takes what its proto says. Replace them by routes that ask for what is wanted. */
export const ${name}Routes: RouteModule = (app, ledger) => {
  for (const schema of ${name}.events as readonly DescMessage[]) {
    const summary = \`Record \${schema.name}\`;
    const body = payloadSchemaOf(schema);
    const response = { 200: answer, ...problems };
    app.post<{ Params: { id: string } }>(
      \`/v1/${many}/:id/\${schema.name}\`,
      { schema: { tags: ['${many}'], summary, params, headers: commandHeaders, body, response } },
      async (request, reply) => {
        // Made by one of the decider's own schemas.
        const record = fromJson(schema, request.body as never) as ${capital(name)}Event;
        const result = await ledger.execute(${name}, request.params.id, { record }, metaOf(request));
        if (result.outcome !== 'accepted' && result.outcome !== 'unchanged') return refused(reply, result);
        return { version: result.version };
      },
    );
  }
};
`;
}

function testText(service: string, name: string, events: readonly string[]): string {
  const [first = ''] = events;
  return `import { create } from '@bufbuild/protobuf';
import { given } from 'jetledger/testing';
import { deciderProperties } from 'jetledger/testing/properties';
import { describe, it } from 'vitest';
import { ${name} } from '../src/domain/${name}.ts';
import { ${first}Schema } from '../src/gen/${service}/${name}/v1/${name}_pb.ts';

const record = create(${first}Schema);

describe('${name}', () => {
  it('records what happened, once', () => {
    given(${name}).when({ record }).thenEvents(record).thenState({ last: record });
    given(${name}, record).when({ record }).thenNothing();
  });

  it.each(deciderProperties(${name}))('$name', ({ check }) => check());
});
`;
}
