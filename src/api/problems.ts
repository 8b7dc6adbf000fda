export interface ProblemKind {
  readonly status: number;
  readonly title: string;
  /** What to do, when the occurrence has nothing more exact to say. */
  readonly detail: string;
  /** Seconds, for `Retry-After`. */
  readonly retryAfter?: number;
  /** Which details of a rejection are for clients. */
  readonly details?: readonly string[];
}

const unavailable = (title: string, detail: string): ProblemKind => ({
  status: 503,
  title,
  detail,
  retryAfter: 1,
});

/** Every problem that is not a refusal by the business. */
export const TECHNICAL = {
  'request/invalid': {
    status: 400,
    title: 'Invalid request',
    detail: 'Correct what `errors` names and send the request again.',
  },
  'request/malformed-json': {
    status: 400,
    title: 'Malformed JSON',
    detail: 'Send a body that is one JSON value in UTF-8.',
  },
  'request/malformed': {
    status: 400,
    title: 'Malformed request',
    detail: 'The request is not valid HTTP; correct its path, headers or body.',
  },
  'request/invalid-cursor': {
    status: 400,
    title: 'Invalid cursor',
    detail: 'Start the list again without a cursor.',
  },
  'request/no-such-list': {
    status: 400,
    title: 'No list for these filters',
    detail: 'Ask for a combination of filters that has a list.',
  },
  'request/invalid-period': {
    status: 400,
    title: 'Invalid period',
    detail: 'Ask for 1 to 366 days, the last one not before the first.',
  },
  'request/too-large': {
    status: 413,
    title: 'Body too large',
    detail: 'Send a smaller body, for example fewer lines.',
  },
  'request/unsupported-media-type': {
    status: 415,
    title: 'Unsupported media type',
    detail: 'Send the body as application/json.',
  },
  'request/expectation-failed': {
    status: 417,
    title: 'Expectation failed',
    detail: 'Send the request without Expect, or with 100-continue.',
  },
  'request/timeout': {
    status: 408,
    title: 'Request timeout',
    detail: 'The request did not arrive in time; send it again.',
  },
  'request/headers-too-large': {
    status: 431,
    title: 'Header fields too large',
    detail: 'Send fewer or shorter header fields or a shorter address.',
  },
  'request/rate-limited': {
    status: 429,
    title: 'Too many requests',
    detail: 'Wait for as long as Retry-After says, then go on at a slower pace.',
    retryAfter: 1,
  },
  'request/too-many-open': {
    status: 429,
    title: 'Too many open requests',
    detail:
      'You have as many of this kind open as one caller may: read their answers or close them, then send it again.',
    retryAfter: 1,
  },
  'request/unknown-host': {
    status: 403,
    title: 'Unknown host',
    detail:
      'Authentication is off, so the service answers to its own names only: call localhost or an address, or set http.allowedHosts to the name that you use.',
  },
  'request/foreign-page': {
    status: 403,
    title: 'Page of another origin',
    detail:
      'Authentication is off, so pages of other origins may not call the service: set http.cors.origins to the origin of yours.',
  },
  'auth/token-missing': {
    status: 401,
    title: 'Token is missing',
    detail: 'Send a token of your issuer in the header: Authorization: Bearer <token>.',
  },
  'auth/token-invalid': {
    status: 401,
    title: 'Token is not valid',
    detail: 'Get a new token and send the request again.',
  },
  'auth/scope-missing': {
    status: 403,
    title: 'Scope is missing',
    detail: 'Your token does not allow this; ask its issuer for one with the scope.',
  },
  'auth/keys-unavailable': unavailable(
    'Token cannot be checked',
    "The keys of the token's issuer cannot be fetched at the moment; try again.",
  ),
  'service/overloaded': unavailable(
    'Service is overloaded',
    'Nothing was done; wait a moment and send the request again.',
  ),
  'route/not-found': {
    status: 404,
    title: 'Unknown route',
    detail: 'There is nothing at this address; /docs lists what there is.',
  },
  'route/other-role': {
    status: 404,
    title: 'Answered by another process',
    detail: 'This process does not have the role api; ask one that has it.',
  },
  'route/method-not-allowed': {
    status: 405,
    title: 'Method not allowed',
    detail: 'Use a method that the Allow header lists.',
  },
  'command/version-mismatch': {
    status: 412,
    title: 'Version mismatch',
    detail: 'It changed since the version in If-Match: read it again, then repeat with the current version.',
  },
  'command/precondition-required': {
    status: 428,
    title: 'If-Match is missing',
    detail: 'Read the current version and send its ETag in If-Match.',
  },
  'command/conflict': {
    status: 409,
    title: 'Too many concurrent changes',
    detail: 'Others changed it at the same time; send the request again.',
    retryAfter: 1,
  },
  'idempotency/key-required': {
    status: 400,
    title: 'Idempotency-Key is missing',
    detail:
      'Send a new key of your own in the header Idempotency-Key, and the same one when you repeat the request.',
  },
  'idempotency/key-reused': {
    status: 422,
    title: 'Idempotency key was used for another request',
    detail: 'Use a new Idempotency-Key for a new request, or send the first request unchanged.',
  },
  'view/behind': {
    status: 504,
    title: 'Read model is behind',
    detail: 'The position asked for is not visible yet: try again, or ask without Min-Position.',
    retryAfter: 1,
  },
  'view/list-not-built': unavailable(
    'List is being built',
    'This process does not know all rows yet; everything else is answered. Try again in a moment.',
  ),
  'view/index-unusable': unavailable(
    'List cannot be kept',
    'This process cannot keep its lists at the moment; everything else is answered. Try again later.',
  ),
  'view/lost': unavailable(
    'Read model is lost',
    'What was stored is safe and commands go on; this query waits until the read model is made anew. Try again later.',
  ),
  'log/unavailable': unavailable('Event log is unavailable', 'Nothing was stored; try again in a moment.'),
  'log/outcome-unknown': unavailable(
    'Outcome unknown',
    'It may or may not be stored. Repeat the request with the same Idempotency-Key; it takes effect only once.',
  ),
  'log/permission-denied': {
    status: 500,
    title: 'Not permitted on the event log',
    detail:
      'The service lacks a permission, and nothing was stored at this step. Repeating does not help until an operator ' +
      'has granted it: report this with the requestId.',
  },
  'keys/unavailable': unavailable(
    'Keys of persons are unavailable',
    'Names and addresses cannot be read or stored now; try again in a moment. A command is repeated safely with its Idempotency-Key.',
  ),
  'person/forgotten': {
    status: 410,
    title: 'Person was forgotten',
    detail: 'The key of this person was destroyed, and nothing more is stored of them.',
  },
  'command/deadline': unavailable('Deadline exceeded', 'Nothing was stored; try again in a moment.'),
  'command/queue-full': unavailable(
    'Too many waiting commands',
    'Nothing was stored; try again in a moment.',
  ),
  'commit/too-large': {
    status: 413,
    title: 'Change too large',
    detail: 'The change is larger than the event log takes; split it.',
  },
  'position/not-in-log': {
    status: 412,
    title: 'Position is not in this log',
    detail: 'It is from before the event log was restored, or beyond its end: read again without it.',
  },
  'stream/too-old': {
    status: 410,
    title: 'Too long away to resume',
    detail: "List the user's orders, and open the stream again without Last-Event-ID.",
  },
  'stream/too-many': unavailable('Too many streams', 'This process serves no more; try again in a moment.'),
  'parked/not-found': {
    status: 404,
    title: 'Not parked',
    detail: 'No such commit is parked; it may have been handled or discarded meanwhile.',
  },
  'consumer/not-found': {
    status: 404,
    title: 'Unknown consumer',
    detail: 'Check the name; /v1/admin/consumers lists all that have ever run.',
  },
  internal: {
    status: 500,
    title: 'Internal error',
    detail:
      'This is our fault. Report it with the requestId; repeating a POST with the same Idempotency-Key is safe.',
  },
} as const satisfies Readonly<Record<string, ProblemKind>>;

/** What is wanted is not there. */
export const notFound = (title: string): ProblemKind => ({
  status: 404,
  title,
  detail: 'Check the id. What was just written may need a moment: send its Position as Min-Position.',
});

/** The state of what is changed does not allow it. @param details of the rejection, those that are for clients */
export const conflict = (title: string, details?: readonly string[]): ProblemKind => ({
  status: 409,
  title,
  detail: 'Read the current state and decide again.',
  ...(details && { details }),
});

/** The request itself can never be done. @param details of the rejection, those that are for clients */
export const invalid = (title: string, details?: readonly string[]): ProblemKind => ({
  status: 422,
  title,
  detail: 'Correct the request and send it again.',
  ...(details && { details }),
});

export type TechnicalCode = keyof typeof TECHNICAL;
/** The code of a rejection, `<category>/<reason>`; each module of the API describes those of its routes. */
export type BusinessCode = `${string}/${string}`;
export type ProblemCode = TechnicalCode | BusinessCode;

const known = new Map<string, ProblemKind>(Object.entries(TECHNICAL));

/**
 * Makes the refusals of a module known, by code; called once, where they are declared.
 * @throws Error when a code is described twice
 */
export function describeProblems<Code extends BusinessCode>(
  problems: Readonly<Record<Code, ProblemKind>>,
): void {
  for (const [code, kind] of Object.entries<ProblemKind>(problems)) {
    if (known.has(code)) throw new Error(`The problem ${code} is described twice.`);
    known.set(code, kind);
  }
}

/** What a code means. @throws Error naming the cure, for a code that no module describes */
export function problemOf(code: ProblemCode): ProblemKind {
  const kind = known.get(code);
  if (kind !== undefined) return kind;
  throw new Error(
    `No module of the API describes the problem ${code}: add it to a describeProblems in src/api/routes.`,
  );
}

/** Whether a string is the code of a problem. */
export function isProblemCode(code: unknown): code is ProblemCode {
  return typeof code === 'string' && known.has(code);
}
