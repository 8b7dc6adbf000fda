import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type StreamRef, subjectOf } from '../../src/eventstore/stream.ts';

/** What is compared with the rest of the repository. */
export interface ServiceList {
  readonly aggregates: readonly { readonly category: string }[];
  readonly views: readonly { readonly name: string }[];
  readonly reactions: readonly { readonly name: string }[];
  readonly timers: readonly { readonly kind: string }[];
  readonly contracts: readonly object[];
  apiModules(): Promise<readonly object[]>;
}

type Exported = Readonly<Record<string, unknown>>;

const LIST = 'src/service/shop.ts';
const has = (thing: unknown, ...keys: string[]): boolean =>
  typeof thing === 'object' && thing !== null && keys.every((key) => key in thing);

/** What each folder may hold of the list: how it is recognised, and in which part of the list it belongs. */
const KINDS = [
  { folder: 'src/domain', part: 'aggregates', is: (x: unknown) => has(x, 'category', 'events', 'decide') },
  { folder: 'src/projections/views', part: 'views', is: (x: unknown) => has(x, 'name', 'sources', 'keyOf') },
  {
    folder: 'src/processes/order',
    part: 'reactions',
    is: (x: unknown) => has(x, 'name', 'sources', 'create'),
  },
  { folder: 'src/processes/order', part: 'timers', is: (x: unknown) => has(x, 'kind', 'create') },
  { folder: 'src/processes/contracts', part: 'contracts', is: (x: unknown) => has(x, 'context', 'toPublic') },
  { folder: 'src/api/routes', part: 'apiModules', is: (x: unknown) => has(x, 'components', 'routes') },
] as const;

/**
 * What the list of the service leaves out: an aggregate, view, reaction, timer, contract or module of the API that is written and
 * not listed, a folder of `proto` without its aggregate, a category that a NATS user may not append to.
 * @param root of a checkout
 * @returns a line for each problem, with the cure
 */
export async function listProblems(root: string, list: ServiceList): Promise<string[]> {
  return [...(await unlisted(root, list)), ...withoutDecider(root, list), ...notPermitted(root, list)];
}

async function unlisted(root: string, list: ServiceList): Promise<string[]> {
  const listed = new Set<unknown>([
    ...list.aggregates,
    ...list.views,
    ...list.reactions,
    ...list.timers,
    ...list.contracts,
    ...(await list.apiModules()),
  ]);
  const problems: string[] = [];
  for (const { folder, part, is } of KINDS) {
    for (const file of readdirSync(join(root, folder)).filter((name) => name.endsWith('.ts'))) {
      const module = (await import(pathToFileURL(join(root, folder, file)).href)) as Exported;
      for (const [name, value] of Object.entries(module)) {
        if (!is(value) || listed.has(value)) continue;
        problems.push(`${folder}/${file}: ${name} is not in the list. Add it to \`${part}\` in ${LIST}.`);
      }
    }
  }
  return problems;
}

/** The folders of `proto` that are no category of the shop. */
const NO_CATEGORY = new Set(['eventstore', 'options', 'public']);

function withoutDecider(root: string, { aggregates }: ServiceList): string[] {
  const folders = readdirSync(join(root, 'proto/jetledger'), { withFileTypes: true });
  const known = new Set(aggregates.map(({ category }) => category));
  return folders
    .filter((entry) => entry.isDirectory() && !NO_CATEGORY.has(entry.name) && !known.has(entry.name))
    .map(
      ({ name }) =>
        `proto/jetledger/${name} has no aggregate. Write src/domain/${name}.ts and add it to \`aggregates\` in ${LIST}.`,
    );
}

/** Both copies of the users: for a server of one's own, and for Kubernetes. */
const USERS = ['configs/nats/users.conf', 'deploy/k8s/base/nats/users.conf'] as const;
const APPENDING = ['API', 'PROCESSOR'] as const;

/** The categories that a user of NATS who appends may not append to. @param root of a checkout */
export function notPermitted(root: string, { aggregates }: Pick<ServiceList, 'aggregates'>): string[] {
  return USERS.flatMap((file) => {
    const text = readFileSync(join(root, file), 'utf8');
    return APPENDING.flatMap((role) => {
      const allowed = allowedSubjects(text, role);
      return aggregates
        .filter(({ category }) => !allowed.some((pattern) => covers(pattern, subjectFor(category))))
        .map(
          ({ category }) =>
            `${file}: the user ${role.toLowerCase()} may not append to ${category}. Allow ${subjectFor(category, '*')} in deploy/nats-roles.mjs, and run: npm run nats:users -- --config`,
        );
    });
  });
}

function subjectFor(category: string, id = 'id'): string {
  const stream: StreamRef = { category, id: 'id' };
  return subjectOf('jl', stream).replace(/[^.]+$/, id);
}

/** The subjects that a user may publish to, as its block of the file says. */
function allowedSubjects(text: string, role: string): string[] {
  const block = text.split(`$JETLEDGER_NKEY_${role}`)[1]?.split('nkey:')[0] ?? '';
  const allow = /publish \{\s*allow: \[([\s\S]*?)\n\s*\]/.exec(block)?.[1] ?? '';
  return [...allow.replace(/#.*$/gm, '').matchAll(/"([^"]+)"/g)].map(([, subject = '']) => subject);
}

/** Whether a pattern of NATS matches a subject. */
function covers(pattern: string, subject: string): boolean {
  const [wanted, given] = [pattern.split('.'), subject.split('.')];
  for (const [at, token] of wanted.entries()) {
    if (token === '>') return given.length > at;
    if (given[at] === undefined || (token !== '*' && token !== given[at])) return false;
  }
  return wanted.length === given.length;
}
