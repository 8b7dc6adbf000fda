import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Problem } from './problem.ts';
import { PROBLEMS } from './problems.ts';
import { traceIdOf } from './trace.ts';
import { traceProblem } from './tracing.ts';

export const PROBLEM_TYPE = 'application/problem+json; charset=utf-8';

/** A problem as RFC 9457 writes it. */
export function problemBody(
  problem: Problem,
  ids: { requestId?: string; traceId?: string | undefined },
): string {
  const { code, detail, errors, details, currentVersion, lag } = problem;
  const kind = PROBLEMS[code];
  return JSON.stringify({
    type: `urn:jetledger:problem:${code}`,
    title: kind.title,
    status: kind.status,
    detail: detail ?? kind.detail,
    code,
    ...ids,
    errors,
    details,
    currentVersion,
    lag,
  });
}

/** Answers a request with a problem. */
export function sendProblem(request: FastifyRequest, reply: FastifyReply, problem: Problem): FastifyReply {
  const { status, ...kind } = PROBLEMS[problem.code];
  const retryAfter = problem.retryAfter ?? kind.retryAfter;
  traceProblem(request, problem.code);
  reply.code(status).header('content-type', PROBLEM_TYPE).header('x-request-id', request.id);
  if (retryAfter !== undefined) reply.header('retry-after', String(retryAfter));
  if (problem.currentVersion !== undefined) reply.header('etag', `"${problem.currentVersion}"`);
  if (problem.allow !== undefined) reply.header('allow', problem.allow.join(', '));
  if (problem.challenge !== undefined) reply.header('www-authenticate', challengeOf(problem.challenge));
  return reply.send(problemBody(problem, { requestId: request.id, traceId: traceIdOf(request) }));
}

function challengeOf(parameters: string): string {
  const realm = 'Bearer realm="jetledger"';
  return parameters === '' ? realm : `${realm}, ${parameters}`;
}
