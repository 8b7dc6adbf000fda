import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { EventStoreError } from '../eventstore/errors.ts';
import { InvalidCursor, InvalidPeriod, ViewBehind } from '../projections/read-models.ts';
import type { Problem } from './problem.ts';
import { sendProblem } from './problem-reply.ts';
import { isProblemCode, PROBLEMS, type TechnicalCode } from './problems.ts';
import { violationsOf } from './validation.ts';

const BY_FRAMEWORK_CODE: Readonly<Record<string, TechnicalCode>> = {
  FST_ERR_CTP_INVALID_JSON_BODY: 'request/malformed-json',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'request/malformed-json',
  FST_ERR_CTP_BODY_TOO_LARGE: 'request/too-large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'request/unsupported-media-type',
  FST_ERR_CTP_EMPTY_TYPE: 'request/unsupported-media-type',
};

/** The problem that any thrown thing is answered with. What is not known here is `internal` and tells nothing. */
export function problemOfError(error: unknown): Problem {
  if (error instanceof ViewBehind) {
    return { code: 'view/behind', lag: Math.max(0, error.wanted - error.reached) };
  }
  if (error instanceof InvalidCursor) return { code: 'request/invalid-cursor' };
  if (error instanceof InvalidPeriod) return { code: 'request/invalid-period', detail: error.message };
  // Its own message names subjects, which are not for clients; the table's sentence is.
  if (error instanceof EventStoreError) return { code: isProblemCode(error.code) ? error.code : 'internal' };
  return error instanceof Error ? problemOfFrameworkError(error) : { code: 'internal' };
}

function problemOfFrameworkError(error: Error & Partial<FastifyError>): Problem {
  if (error.validation !== undefined) {
    return { code: 'request/invalid', errors: violationsOf(error.validation, error.validationContext) };
  }
  const known = BY_FRAMEWORK_CODE[error.code ?? ''];
  if (known !== undefined) return { code: known };
  const status = error.statusCode ?? 500;
  if (status === 404 || status === 403) return { code: 'route/not-found' };
  if (status === 413) return { code: 'request/too-large' };
  return { code: status >= 400 && status < 500 ? 'request/malformed' : 'internal' };
}

/** Answers whatever was thrown while a request was handled; faults are logged here and nowhere else. */
export function handleError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const problem = problemOfError(error);
  const { status } = PROBLEMS[problem.code];
  const route = request.routeOptions?.url;
  if (problem.code === 'internal') request.log.error({ err: error, route }, 'request failed');
  else if (status >= 500) request.log.warn({ code: problem.code, route }, 'request not served');
  return sendProblem(request, reply, problem);
}
