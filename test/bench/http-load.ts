import autocannon from 'autocannon';
import { cpuOf } from './measure.ts';

/** As many as the issue asks for. */
export const CONNECTIONS = 64;
/** Seconds of load before anything is measured: while code is still being compiled, nobody shows the rate it has for days. */
export const WARM_UP_SECONDS = 4;
/** How many of the requests one connection repeats, so that not all of them ask the same at once. */
const EACH = 50;

/** One request; with a body it is a POST of JSON. */
export interface BenchRequest {
  readonly path: string;
  readonly body?: unknown;
}

/** Who answers: a process of its own. */
export interface Answering {
  readonly url: string;
  readonly pid: number;
}

export interface Load {
  /** Answers of 2xx. */
  readonly perSecond: number;
  /** What the process used of the CPU for each, in microseconds. */
  readonly cpu: number;
}

/** Asks over 64 connections for some seconds. @throws Error when any answer is another one than 2xx */
export async function load(
  { url, pid }: Answering,
  requests: readonly BenchRequest[],
  seconds: number,
): Promise<Load> {
  let connections = 0;
  const before = await cpuOf(pid);
  const result = await autocannon({
    url,
    connections: CONNECTIONS,
    duration: seconds,
    setupClient: (client) => client.setRequests(shareOf(requests, connections++).map(toRequest)),
  });
  const { non2xx, errors, timeouts, duration } = result;
  if (non2xx + errors + timeouts > 0)
    throw new Error(
      `${non2xx} answers were not 2xx, ${errors} requests failed, ${timeouts} were not answered`,
    );
  const answers = result['2xx'];
  return { perSecond: answers / duration, cpu: ((await cpuOf(pid)) - before) / answers };
}

function shareOf(requests: readonly BenchRequest[], connection: number): BenchRequest[] {
  const first = connection * Math.ceil(requests.length / CONNECTIONS);
  return Array.from({ length: Math.min(EACH, requests.length) }, (_, i) => {
    const request = requests[(first + i) % requests.length];
    if (request === undefined) throw new RangeError('there is nothing to ask');
    return request;
  });
}

function toRequest({ path, body }: BenchRequest): autocannon.Request {
  if (body === undefined) return { method: 'GET', path };
  const headers = { 'content-type': 'application/json' };
  return { method: 'POST', path, headers, body: JSON.stringify(body) };
}
