import { POSITION_PATTERN } from '../position-token.ts';
import { type ProblemCode, problemOf } from '../problems.ts';

type Responses = Record<string, unknown>;

/** The header of what has a version. */
export const ETAG = {
  ETag: { type: 'string', description: 'The version in quotes, for If-Match.', examples: ['"42"'] },
};
const POSITION = {
  Position: {
    type: 'string',
    pattern: POSITION_PATTERN,
    description: 'For Min-Position; opaque.',
    examples: ['42@Zk3x9QaB'],
  },
};
const LOCATION = { Location: { type: 'string', description: 'The address of what was created.' } };
const LINK = { Link: { type: 'string', description: 'The next page, rel="next"; absent on the last one.' } };
const RETRY_AFTER = { 'Retry-After': { type: 'string', pattern: '^[0-9]+$', description: 'Seconds.' } };
const CHALLENGE = {
  'WWW-Authenticate': {
    type: 'string',
    description: 'What kind of token is needed, and what is wrong with it.',
  },
};
const RATE_LIMIT = {
  'RateLimit-Limit': { type: 'string', pattern: '^[0-9]+$', description: 'Requests per window.' },
  'RateLimit-Remaining': { type: 'string', pattern: '^[0-9]+$', description: 'How many are left.' },
  'RateLimit-Reset': { type: 'string', pattern: '^[0-9]+$', description: 'Seconds until the next window.' },
};
const VERSION_MATCH = {
  ETag: { type: 'string', description: 'The current version, which If-Match should have named.' },
};

function json(name: string, description: string, headers: object, example?: object) {
  const media = { schema: { $ref: `${name}#` }, ...(example && { example }) };
  return { description, headers, content: { 'application/json': media } };
}

/** An accepted creation (201), or one that was there before (200). @param example where it is not the component's */
export function created(name: string, example?: object): Responses {
  const headers = { ...ETAG, ...POSITION, ...LOCATION };
  return {
    201: json(name, 'Created; with the state after the command.', headers, example),
    200: json(name, 'It existed just like this before; nothing was changed.', headers, example),
  };
}

/** An accepted change, or one that had nothing to do. @param example where it is not the component's */
export function changed(name: string, example?: object): Responses {
  return { 200: json(name, 'The state after the command.', { ...ETAG, ...POSITION }, example) };
}

/** What goes on after the answer. @param example where it is not the component's */
export function followed(name: string, example?: object): Responses {
  const description = 'Accepted; its Location says how far it is.';
  return { 202: json(name, description, { ...ETAG, ...POSITION, ...LOCATION }, example) };
}

/** How something stands, from the log. @param example where it is not the component's */
export function stated(name: string, example?: object): Responses {
  return { 200: json(name, 'How it stands.', { ...ETAG, ...POSITION }, example) };
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

/** A page of a list that has an index, which says how far it is. */
export function foundBy(name: string): Responses {
  return {
    200: json(name, 'A page; everything up to its Position is in the list.', { ...LINK, ...POSITION }),
  };
}

/** Any other answer without special headers. */
export function plain(status: number, name: string, description: string, example?: object): Responses {
  return { [status]: json(name, description, {}, example) };
}

const COMMON = [
  'request/invalid',
  'request/malformed',
  'request/expectation-failed',
  'request/headers-too-large',
  'internal',
] as const;
const COMMAND = [
  'request/malformed-json',
  'request/too-large',
  'request/unsupported-media-type',
  'log/unavailable',
  'log/outcome-unknown',
  'log/permission-denied',
  'keys/unavailable',
  'person/forgotten',
  'command/deadline',
  'command/queue-full',
  'command/conflict',
  'commit/too-large',
] as const;

/** What any route may answer that is not public. */
const GUARDED = [
  'auth/token-missing',
  'auth/token-invalid',
  'auth/scope-missing',
  'request/unknown-host',
  'request/foreign-page',
  'auth/keys-unavailable',
  'request/rate-limited',
  'request/too-many-open',
  'service/overloaded',
] as const;

/** The problems of a read, besides the given ones. */
export function problemsOfRead(...codes: ProblemCode[]): Responses {
  return problems([
    ...COMMON,
    ...GUARDED,
    'log/unavailable',
    'log/permission-denied',
    'keys/unavailable',
    ...codes,
  ]);
}

/** The problems of a query of a read model, besides the given ones. */
export function problemsOfQuery(...codes: ProblemCode[]): Responses {
  return problemsOfRead('view/behind', 'view/lost', 'position/not-in-log', ...codes);
}

/** The problems of a query of a list that has an index, besides the given ones. */
export function problemsOfList(...codes: ProblemCode[]): Responses {
  return problemsOfQuery('view/list-not-built', 'request/invalid-cursor', 'request/no-such-list', ...codes);
}

/** The problems of what an operator asks for, besides the given ones. */
export function problemsOfAdmin(...codes: ProblemCode[]): Responses {
  const body = ['request/malformed-json', 'request/too-large', 'request/unsupported-media-type'] as const;
  return problems([
    ...COMMON,
    ...GUARDED,
    ...body,
    'log/unavailable',
    'log/outcome-unknown',
    'log/permission-denied',
    'keys/unavailable',
    ...codes,
  ]);
}

/** The problems of any command, besides the given ones. */
export function problemsOfCommand(...codes: ProblemCode[]): Responses {
  const demanded = codes.flatMap((code) => DEMANDED.get(code) ?? []);
  return problems([...COMMON, ...GUARDED, ...COMMAND, ...demanded, ...codes]);
}

/** Where a header may be given, it may also be demanded. */
const DEMANDED: ReadonlyMap<ProblemCode, ProblemCode> = new Map([
  ['idempotency/key-reused', 'idempotency/key-required'],
  ['command/version-mismatch', 'command/precondition-required'],
]);

/** The problems of a route that touches nothing. */
export function problemsOfPlain(): Responses {
  return problems(COMMON);
}

function problems(codes: readonly ProblemCode[]): Responses {
  const byStatus = new Map<number, ProblemCode[]>();
  for (const code of codes) {
    const { status } = problemOf(code);
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  return Object.fromEntries([...byStatus].map(([status, named]) => [status, problemResponse(status, named)]));
}

function problemResponse(status: number, codes: readonly ProblemCode[]) {
  const lines = codes.map((code) => `\`${code}\`: ${problemOf(code).title}.`);
  const named = { type: 'object', required: ['code'], properties: { code: { enum: codes } } };
  const retryable = codes.some((code) => problemOf(code).retryAfter !== undefined);
  return {
    description: lines.join('\n'),
    headers: { ...(retryable && RETRY_AFTER), ...HEADERS_BY_STATUS[status] },
    content: { 'application/problem+json': { schema: { allOf: [{ $ref: 'Problem#' }, named] } } },
  };
}

const HEADERS_BY_STATUS: Readonly<Record<number, object>> = {
  401: CHALLENGE,
  403: CHALLENGE,
  412: VERSION_MATCH,
  429: RATE_LIMIT,
};
