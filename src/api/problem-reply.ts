import type { FastifyReply, FastifyRequest } from 'fastify';
import type { CommandResult, Rejection } from '../eventstore/index.ts';

import { isProblemCode, type ProblemCode, problemOf } from './problems.ts';
import { traceIdOf, traceProblem } from './tracing.ts';

/** One thing that is wrong with a request. */
export interface Violation {
  readonly in: 'body' | 'path' | 'query' | 'header';
  /** A JSON pointer into that part. */
  readonly pointer: string;
  readonly detail: string;
}

/** An occurrence of a problem; what is absent comes from the table. */
export interface Problem {
  readonly code: ProblemCode;
  readonly detail?: string | undefined;
  readonly errors?: readonly Violation[] | undefined;
  readonly details?: Readonly<Record<string, string | number>> | undefined;
  /** The version that If-Match should have named. */
  readonly currentVersion?: number | undefined;
  /** How many positions a read model is behind. */
  readonly lag?: number | undefined;
  /** For 405. */
  readonly allow?: readonly string[] | undefined;
  /** For 401 and 403: the parameters of `WWW-Authenticate: Bearer` besides the realm; may be empty. */
  readonly challenge?: string | undefined;
  /** Seconds, where they differ from the table's. */
  readonly retryAfter?: number | undefined;
}

type Refusal = Exclude<CommandResult<unknown, never, Rejection>, { outcome: 'accepted' | 'unchanged' }>;

/** The problem that a refused command answers with. `matched`: the client sent If-Match. */
export function problemOfRefusal(result: Refusal, matched: boolean): Problem {
  switch (result.outcome) {
    case 'conflict':
      return matched
        ? { code: 'command/version-mismatch', currentVersion: result.actual }
        : { code: 'command/conflict' };
    case 'key-reused':
      return { code: 'idempotency/key-reused' };
    case 'rejected': {
      const { code, message, details } = result.rejection;
      if (!isProblemCode(code))
        throw new Error(`The rejection ${code} has no entry in the table of problems`);
      return { code, detail: message, details: pick(details, problemOf(code).details) };
    }
  }
}

function pick(details: Problem['details'], keys: readonly string[] | undefined): Problem['details'] {
  const entries = Object.entries(details ?? {}).filter(([key]) => keys?.includes(key));
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}

export const PROBLEM_TYPE = 'application/problem+json; charset=utf-8';

interface ProblemIds {
  readonly requestId?: string;
  readonly traceId?: string | undefined;
}

/** A problem as RFC 9457 writes it, in JSON. */
export function problemBody(problem: Problem, ids: ProblemIds): string {
  return JSON.stringify(problemObject(problem, ids));
}

/** The same before it is JSON, for an answer that holds several. */
export function problemObject(problem: Problem, ids: ProblemIds): object {
  const { code, detail, errors, details, currentVersion, lag } = problem;
  const kind = problemOf(code);
  return {
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
  };
}

/** Answers a request with a problem. */
export function sendProblem(request: FastifyRequest, reply: FastifyReply, problem: Problem): FastifyReply {
  const { status, ...kind } = problemOf(problem.code);
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
