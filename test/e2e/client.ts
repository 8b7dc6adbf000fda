import { at } from '../../src/cli/demo.ts';

/** An answer over HTTP, its JSON parsed. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: unknown;
  /** A field of the body: `field('price', 'amountMinor')`. */
  field(...path: readonly (string | number)[]): unknown;
  /** From the request to the last byte of its answer, in milliseconds. */
  readonly ms: number;
}

const TIMEOUT_MS = 15_000;

/** Sends a request and reads its answer; every answer of the service is JSON. */
export async function ask(
  url: string,
  method: string,
  path: string,
  body?: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  const started = performance.now();
  const response = await fetch(`${url}${path}`, {
    method,
    headers: { ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  const parsed: unknown = await response.json();
  return {
    status: response.status,
    headers: response.headers,
    body: parsed,
    field: (...fields) => at(parsed, ...fields),
    ms: performance.now() - started,
  };
}

/** Sends a request that must be answered with `status`. */
export async function must(status: number, ...request: Parameters<typeof ask>): Promise<Answer> {
  const answer = await ask(...request);
  if (answer.status === status) return answer;
  const [, method, path] = request;
  throw new Error(`${method} ${path}: ${answer.status} and not ${status}: ${JSON.stringify(answer.body)}`);
}

/** Headers of a read that shows at least what was answered before. */
export function since(answer: Answer): Record<string, string> {
  return { 'min-position': String(answer.field('position')), prefer: 'wait=10' };
}
