import type { FastifyReply } from 'fastify';
import type { Ledger } from 'jetledger';
import { numberOf } from 'jetledger/eventstore';
import { type TaskCommand, task } from '../domain/task.ts';
import { commandHeaders, metaOf, newIdOf, queryHeaders } from '../http/meta.ts';
import { problem, refused } from '../http/problems.ts';
import type { RouteModule } from '../http/route-module.ts';
import { tasks } from '../views/tasks.ts';

const id = { type: 'object', properties: { id: { type: 'string' } } } as const;
const body = {
  type: 'object',
  required: ['title'],
  additionalProperties: false,
  properties: { title: { type: 'string', minLength: 1, maxLength: 200 } },
} as const;
const row = {
  type: 'object',
  required: ['id', 'title', 'status', 'openedAt'],
  properties: {
    id: { type: 'string' },
    title: { type: 'string' },
    status: { enum: ['open', 'closed'] },
    openedAt: { type: 'string', format: 'date-time' },
  },
} as const;
const problems = { '4xx': { $ref: 'Problem#' }, '5xx': { $ref: 'Problem#' } };
const tags = ['tasks'];

interface ById {
  readonly Params: { readonly id: string };
}
interface Titled {
  readonly Body: { readonly title: string };
}

export const taskRoutes: RouteModule = (app, ledger) => {
  app.post<Titled>(
    '/v1/tasks',
    {
      schema: {
        tags,
        summary: 'Open a task',
        headers: commandHeaders,
        body,
        response: { 201: row, ...problems },
      },
    },
    async (request, reply) => {
      const meta = metaOf(request);
      const taskId = newIdOf(meta);
      const { title } = request.body;
      const result = await ledger.execute(task, taskId, { type: 'open', title, at: Date.now() }, meta);
      if (result.outcome !== 'accepted' && result.outcome !== 'unchanged') return refused(reply, result);
      reply.code(201).header('location', `/v1/tasks/${taskId}`);
      return shown(ledger, taskId, result.version, reply);
    },
  );

  const change = (path: string, summary: string, schema: object, commandOf: (title: string) => TaskCommand) =>
    app.post<ById & Partial<Titled>>(
      path,
      {
        schema: {
          tags,
          summary,
          params: id,
          headers: commandHeaders,
          ...schema,
          response: { 200: row, ...problems },
        },
      },
      async (request, reply) => {
        const command = commandOf((request.body as Titled['Body'] | undefined)?.title ?? '');
        const result = await ledger.execute(task, request.params.id, command, metaOf(request));
        if (result.outcome !== 'accepted' && result.outcome !== 'unchanged') return refused(reply, result);
        return shown(ledger, request.params.id, result.version, reply);
      },
    );
  change('/v1/tasks/:id/rename', 'Rename an open task', { body }, (title) => ({ type: 'rename', title }));
  change('/v1/tasks/:id/close', 'Close a task', {}, () => ({ type: 'close', at: Date.now() }));

  app.get<ById & { Headers: { 'min-position'?: number } }>(
    '/v1/tasks/:id',
    {
      schema: {
        tags,
        summary: 'Read a task',
        params: id,
        headers: queryHeaders,
        response: { 200: row, ...problems },
      },
    },
    (request, reply) => shown(ledger, request.params.id, request.headers['min-position'], reply),
  );
};

async function shown(ledger: Ledger, taskId: string, minPosition: number | undefined, reply: FastifyReply) {
  const found = await ledger.view(tasks).get(taskId, { minPosition });
  if (found === undefined) return problem(reply, 404, 'task/not-found', 'There is no such task.');
  return reply.header('position', numberOf(found.position)).send(found.row);
}
