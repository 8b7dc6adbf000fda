import { styleText } from 'node:util';

/** An answer of the service, its body parsed. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  // The demo prints what it gets and checks single fields by path.
  readonly body: unknown;
}

/** Tells a story of requests and counts what did not come out as expected. */
export interface Story {
  chapter(title: string): void;
  /** A request, shown with its answer. */
  ask(
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
    /** True for a repetition that is not worth showing. */
    quiet?: boolean,
  ): Promise<Answer>;
  /** Something that must hold for the demo to succeed. */
  expect(what: string, holds: boolean): void;
  /** A quiet line. */
  note(text: string): void;
  readonly failures: number;
}

const TIMEOUT_MS = 10_000;

export function tellStory(baseUrl: string, print: (line: string) => void): Story {
  let failures = 0;
  return {
    get failures() {
      return failures;
    },
    chapter: (title) => print(`\n${styleText(['bold', 'cyan'], title)}`),
    note: (text) => print(styleText('gray', `    ${text}`)),
    ask: async (method, path, body, headers = {}, quiet = false) => {
      const response = await fetch(`${baseUrl}${path}`, {
        method,
        headers: { ...headers, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      const answer = {
        status: response.status,
        headers: response.headers,
        body: (await response.json()) as unknown,
      };
      if (quiet) return answer;
      const colour = response.ok ? 'green' : 'yellow';
      print(`  ${styleText('bold', method)} ${path}  ${styleText(colour, String(response.status))}`);
      if (body !== undefined) print(styleText('gray', `    sent ${JSON.stringify(body)}`));
      print(styleText('gray', `    got  ${JSON.stringify(answer.body)}`));
      return answer;
    },
    expect: (what, holds) => {
      if (!holds) failures++;
      print(holds ? styleText('green', `    ok   ${what}`) : styleText(['bold', 'red'], `    FAIL ${what}`));
    },
  };
}

/** A field of a parsed body, `undefined` where the path leads nowhere: `at(body, 'price', 'amountMinor')`. */
export function at(body: unknown, ...path: readonly (string | number)[]): unknown {
  let value = body;
  for (const key of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = (value as Record<string | number, unknown>)[key];
  }
  return value;
}
