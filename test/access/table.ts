import { createNoopMeter } from '@opentelemetry/api';
import { buildApp } from '../../src/api/app.ts';
import { type Access, type Own, scopesOf } from '../../src/api/auth/access.ts';
import { memoryService } from '../support/memory-service.ts';

const BEGIN = '<!-- who may call what: made by `npm run access:table` -->';
const END = '<!-- end -->';

const OWN: Readonly<Record<Own, string>> = {
  itself: 'itself',
  user: 'own user',
  order: 'own orders',
  'user in body': 'own user in the body',
  'user in query': 'own user in the query',
};

/** Who may call what, as Markdown: read from the routes themselves. */
export async function accessTable(): Promise<string> {
  await using service = await memoryService();
  const app = buildApp({ ...service.deps, metrics: { meter: createNoopMeter(), scrape: async () => '' } });
  const rows = new Set<string>();
  app.addHook('onRoute', ({ method, url, config }) => {
    const methods = [method].flat().filter((name) => name !== 'HEAD');
    // The pages of the documentation are many files.
    const path = url.startsWith('/docs') ? '/docs' : url;
    if (methods.length > 0) rows.add(rowOf(methods.join(', '), path, config?.access ?? 'public'));
  });
  await app.ready();
  await app.close();
  const sorted = [...rows].sort((a, b) => sortKey(a).localeCompare(sortKey(b), 'en'));
  return ['| route | scope, one of | reaches |', '|---|---|---|', ...sorted].join('\n');
}

function rowOf(methods: string, path: string, access: Access): string {
  const route = `\`${methods} ${path.replace(/:(\w+)/g, '{$1}')}\``;
  if (access === 'public') return `| ${route} | none: public | everything |`;
  const scopes = scopesOf(access)?.map((scope) => `\`${scope}\``);
  const own = access.own === undefined ? 'everything' : `${OWN[access.own]}; with \`admin\` all`;
  return `| ${route} | ${scopes?.join(', ')} | ${own} |`;
}

/** By path, then by method. */
function sortKey(row: string): string {
  const [, method = '', path = ''] = /`(\S+) (\S+)`/.exec(row) ?? [];
  return `${path} ${method}`;
}

/** A document with the table in its place. */
export function withTable(document: string, table: string): string {
  const [before, rest] = document.split(BEGIN);
  const after = rest?.split(END)[1];
  if (before === undefined || after === undefined) throw new Error(`There is no place marked ${BEGIN}`);
  return `${before}${BEGIN}\n\n${table}\n\n${END}${after}`;
}
