import { createNoopMeter } from '@opentelemetry/api';
import { buildApp } from '../../src/api/app.ts';
import { type Access, type Own, SCOPES, scopesOf } from '../../src/api/auth/access.ts';
import { NOTIFICATION_KINDS } from '../../src/processes/notification/port.ts';
import { aggregates, reactions, timers, views } from '../../src/service/shop.ts';
import { memoryService } from '../support/memory-service.ts';

const HEAD = `# What the service is made of

Made from [the service's list](../src/service/shop.ts) and the routes by \`npm run reference\`; \`make check\` compares it.
How an entry is added: [add-an-aggregate.md](add-an-aggregate.md).
`;

const OWN: Readonly<Record<Own, string>> = {
  itself: 'itself',
  user: 'own user',
  order: 'own orders',
  'user in body': 'own user in the body',
  'user in query': 'own user in the query',
};

/** docs/reference.md as it has to be, from the list and the routes themselves. */
export async function referencePage(): Promise<string> {
  const sections = [
    section(
      'Aggregates',
      ['category', 'events'],
      aggregates.map(({ category, events }) => [code(category), events.map(({ name }) => name).join(', ')]),
    ),
    section(
      'Views',
      ['view', 'of the events of', 'rows are of'],
      views.map((view) => [
        code(view.name),
        view.sources.map(({ category }) => category).join(', '),
        view.crossesAggregates ? 'several aggregates' : 'one aggregate each',
      ]),
    ),
    section(
      'Reactions',
      ['reaction', 'to events of', 'what it does'],
      reactions.map((reaction) => [
        code(reaction.name),
        reaction.sources.map(({ category }) => category).join(', '),
        reaction.does,
      ]),
    ),
    section(
      'Timers',
      ['kind'],
      timers.map(({ kind }) => [code(kind)]),
    ),
    section(
      'Notifications',
      ['kind'],
      NOTIFICATION_KINDS.map((kind) => [code(kind)]),
    ),
    section(
      'Scopes',
      ['scope', 'opens'],
      Object.entries(SCOPES).map(([scope, opens]) => [code(scope), opens]),
    ),
    section('Who may call what', ['route', 'scope, one of', 'reaches'], await routeRows()),
  ];
  return [HEAD, ...sections].join('\n');
}

const code = (text: string): string => `\`${text}\``;

function section(title: string, columns: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [columns, columns.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`);
  return `## ${title}\n\n${lines.join('\n')}\n`;
}

async function routeRows(): Promise<string[][]> {
  await using service = await memoryService();
  const app = buildApp({ ...service.deps, metrics: { meter: createNoopMeter(), scrape: async () => '' } });
  const rows = new Map<string, string[]>();
  app.addHook('onRoute', ({ method, url, config }) => {
    const methods = [method].flat().filter((name) => name !== 'HEAD');
    // The pages of the documentation are many files.
    const path = url.startsWith('/docs') ? '/docs' : url.replace(/:(\w+)/g, '{$1}');
    if (methods.length === 0) return;
    const route = `${methods.join(', ')} ${path}`;
    rows.set(`${path} ${route}`, [code(route), ...reachOf(config?.access ?? 'public')]);
  });
  await app.ready();
  await app.close();
  return [...rows].sort(([a], [b]) => a.localeCompare(b, 'en')).map(([, row]) => row);
}

function reachOf(access: Access): string[] {
  if (access === 'public') return ['none: public', 'everything'];
  const scopes = scopesOf(access)?.map(code) ?? [];
  const own = access.own === undefined ? 'everything' : `${OWN[access.own]}; with \`admin\` all`;
  return [scopes.join(', '), own];
}
