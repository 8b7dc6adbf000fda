import { PROBLEMS, type ProblemCode } from '../problems.ts';

type Responses = Record<string, unknown>;

const ETAG = {
  ETag: { type: 'string', description: 'The version in quotes, for If-Match.', examples: ['"42"'] },
};
const POSITION = { Position: { type: 'string', pattern: '^[0-9]+$', description: 'For Min-Position.' } };
const LOCATION = { Location: { type: 'string', description: 'The address of what was created.' } };
const LINK = { Link: { type: 'string', description: 'The next page, rel="next"; absent on the last one.' } };
const RETRY_AFTER = { 'Retry-After': { type: 'string', pattern: '^[0-9]+$', description: 'Seconds.' } };

function json(name: string, description: string, headers: object) {
  return { description, headers, content: { 'application/json': { schema: { $ref: `${name}#` } } } };
}

/** An accepted creation (201), or one that was there before (200). */
export function created(name: string): Responses {
  const headers = { ...ETAG, ...POSITION, ...LOCATION };
  return {
    201: json(name, 'Created; with the state after the command.', headers),
    200: json(name, 'It existed just like this before; nothing was changed.', headers),
  };
}

/** An accepted change, or one that had nothing to do. */
export function changed(name: string): Responses {
  return { 200: json(name, 'The state after the command.', { ...ETAG, ...POSITION }) };
}

/** One entity: a row of a read model, or, from the log, in the shape in which commands answer; or nothing new. */
export function found(row: string, answer: string): Responses {
  const headers = { ...ETAG, ...POSITION };
  const schema = { anyOf: [{ $ref: `${row}#` }, { $ref: `${answer}#` }] };
  const description = `As the read model shows it (${row}); what comes from the log is a ${answer}.`;
  return {
    200: { description, headers, content: { 'application/json': { schema } } },
    304: { type: 'null', description: 'It still has the version that If-None-Match names.', headers },
  };
}

/** A page of a list. */
export function listed(name: string): Responses {
  return { 200: json(name, 'A page.', LINK) };
}

/** Any other answer without special headers. */
export function plain(status: number, name: string, description: string): Responses {
  return { [status]: json(name, description, {}) };
}

const COMMON = ['request/invalid', 'request/malformed', 'request/headers-too-large', 'internal'] as const;
const COMMAND = [
  'request/malformed-json',
  'request/too-large',
  'request/unsupported-media-type',
  'log/unavailable',
  'log/outcome-unknown',
  'command/deadline',
  'command/queue-full',
  'command/conflict',
  'commit/too-large',
] as const;

/** The problems of a read, besides the given ones. */
export function problemsOfRead(...codes: ProblemCode[]): Responses {
  return problems([...COMMON, 'log/unavailable', ...codes]);
}

/** The problems of a query of a read model, besides the given ones. */
export function problemsOfQuery(...codes: ProblemCode[]): Responses {
  return problemsOfRead('view/behind', ...codes);
}

/** The problems of what an operator asks for, besides the given ones. */
export function problemsOfAdmin(...codes: ProblemCode[]): Responses {
  const body = ['request/malformed-json', 'request/too-large', 'request/unsupported-media-type'] as const;
  return problems([...COMMON, ...body, 'log/unavailable', 'log/outcome-unknown', ...codes]);
}

/** The problems of any command, besides the given ones. */
export function problemsOfCommand(...codes: ProblemCode[]): Responses {
  return problems([...COMMON, ...COMMAND, ...codes]);
}

/** The problems of a route that touches nothing. */
export function problemsOfPlain(): Responses {
  return problems(COMMON);
}

function problems(codes: readonly ProblemCode[]): Responses {
  const byStatus = new Map<number, ProblemCode[]>();
  for (const code of codes) {
    const { status } = PROBLEMS[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  return Object.fromEntries([...byStatus].map(([status, named]) => [status, problemResponse(named)]));
}

function problemResponse(codes: readonly ProblemCode[]) {
  const lines = codes.map((code) => `\`${code}\`: ${PROBLEMS[code].title}.`);
  const retryable = codes.some((code) => PROBLEMS[code].retryAfter !== undefined);
  return {
    description: lines.join('\n'),
    headers: retryable ? RETRY_AFTER : {},
    content: { 'application/problem+json': { schema: { $ref: 'Problem#' } } },
  };
}
