import type { FastifyInstance } from 'fastify';
import type { AsyncApi } from '../../processes/engine/index.ts';
import { ACCESS } from '../auth/access.ts';

/** Serves what is published: the AsyncAPI document at /asyncapi.json, and as a page at /asyncapi. */
export function publicEventRoutes(app: FastifyInstance, document: AsyncApi): void {
  const hidden = { schema: { hide: true } };
  const json = Buffer.from(JSON.stringify(document));
  app.get('/asyncapi.json', { ...hidden, config: { access: ACCESS.public } }, async (_request, reply) =>
    reply.header('content-type', 'application/json; charset=utf-8').send(json),
  );
  const page = Buffer.from(pageOf(document));
  app.get(
    '/asyncapi',
    { ...hidden, config: { access: ACCESS.public, page: true } },
    async (_request, reply) => reply.header('content-type', 'text/html; charset=utf-8').send(page),
  );
}

function pageOf({ info, channels, components }: AsyncApi): string {
  const sections = Object.entries(channels).map(([name, { address, description }]) => {
    const messages = Object.entries(components.messages).filter(([key]) => key.startsWith(`${name}.`));
    return [
      `<h2 id="${escaped(name)}">${escaped(name)}</h2>`,
      `<p>${escaped(description)} Subject <code>${escaped(address)}</code></p>`,
      ...messages.map(([, { title, payload }]) => `<h3>${escaped(title)}</h3>\n${tableOf(payload)}`),
    ].join('\n');
  });
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(info.title)}</title>
<h1>${escaped(info.title)} ${escaped(info.version)}</h1>
<p>${escaped(info.description)} <a href="/asyncapi.json">AsyncAPI document</a></p>
<h2>Headers of every message</h2>
${tableOf(components.schemas.CloudEvent ?? {})}
${sections.join('\n')}
</html>
`;
}

type Shown = Readonly<Record<string, unknown>>;

function tableOf(schema: Shown): string {
  const rows = rowsOf(schema).map(
    (row) => `<tr>${row.map((cell) => `<td>${escaped(cell)}</td>`).join('')}</tr>`,
  );
  return `<table>\n${rows.join('\n')}\n</table>`;
}

/** Name, kind and meaning of each field; those of messages within it follow it. */
function rowsOf({ properties }: Shown, prefix = ''): string[][] {
  return Object.entries((properties ?? {}) as Record<string, Shown>).flatMap(([name, field]) => {
    const { type = 'any', description = '', items } = field;
    const row = [prefix + name, String(type), String(description)];
    return [row, ...rowsOf((items ?? field) as Shown, `${prefix}${name}${items === undefined ? '' : '[]'}.`)];
  });
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}
