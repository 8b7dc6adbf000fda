import { type LookupAddress, lookup as resolve } from 'node:dns';
import { type ClientRequest, Agent as HttpAgent, type IncomingMessage, request as overHttp } from 'node:http';
import { Agent as HttpsAgent, request as overHttps } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import ipaddr from 'ipaddr.js';

/**
 * Which addresses may be dialled: those of the internet alone, over TLS; the machine's own too; those of private networks
 * too; or, for a URL that the operator has named, any.
 */
export type Targets = 'public' | 'loopback' | 'private' | 'any';

/** Ranges by their names in `ipaddr.js`. Whatever is in none of them, such as link-local, is refused. */
const RANGES: Readonly<Record<Exclude<Targets, 'any'>, readonly string[]>> = {
  public: ['unicast'],
  loopback: ['unicast', 'loopback'],
  private: ['unicast', 'loopback', 'private', 'uniqueLocal', 'carrierGradeNat'],
};

/** IPv6 addresses that are IPv4 ones in disguise and that `ipaddr.js` calls unicast. */
const COMPATIBLE = ipaddr.parseCIDR('::/96');

/** Whether an address may be dialled; an IPv4 address that is written as IPv6 is what it stands for. */
export function isAllowed(address: string, targets: Targets): boolean {
  if (targets === 'any') return true;
  if (!ipaddr.isValid(address)) return false;
  const parsed = ipaddr.process(address);
  const range = parsed.range();
  if (
    parsed instanceof ipaddr.IPv6 &&
    range === 'unicast' &&
    parsed.match(COMPATIBLE as [ipaddr.IPv6, number])
  )
    return false;
  return RANGES[targets].includes(range);
}

/** A URL leads where nothing may be sent. */
export class TargetRefused extends Error {
  constructor(why: string) {
    super(`The URL is refused: ${why}.`);
    this.name = 'TargetRefused';
  }
}

/** What a receiver answered. */
export interface Answered {
  readonly status: number;
  /** The beginning of the body. */
  readonly answer: string;
  /** Of `Retry-After`, in milliseconds. */
  readonly retryAfterMs: number | undefined;
}

/** Posts bodies to URLs that others have named. */
export interface Dialler {
  /**
   * Follows no redirect, and reads a bounded part of the answer in a bounded time.
   * @throws TargetRefused; Error named `TimeoutError`; the error of the connection
   */
  post(url: string, headers: Readonly<Record<string, string>>, body: string): Promise<Answered>;
  /** Ends idle connections. */
  close(): void;
}

interface DialOptions {
  readonly targets: Targets;
  /** For all of it, in milliseconds. */
  readonly timeoutMs: number;
}

const ANSWER_BYTES = 1_024;
/** A connection whose answer is longer is not used again. */
const LONGEST_BODY_BYTES = 65_536;

/** Resolves a name and passes on its addresses only when all may be dialled: the very ones that are dialled then. */
function lookupAllowed(targets: Targets): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, addresses: LookupAddress[]) => {
      const [first] = addresses ?? [];
      if (error !== null || first === undefined)
        callback(error ?? new Error(`no address of ${hostname}`), '', 4);
      else if (!addresses.every(({ address }) => isAllowed(address, targets)))
        callback(new TargetRefused('its name stands for an address that may not be dialled'), '', 4);
      else if (options.all) callback(null, addresses);
      else callback(null, first.address, first.family);
    });
  };
}

/** Makes what dials; connections are kept and used again. */
export function createDialler({ targets, timeoutMs }: DialOptions): Dialler {
  const options = { keepAlive: true, lookup: lookupAllowed(targets), scheduling: 'lifo' } as const;
  const [http, https] = [new HttpAgent(options), new HttpsAgent(options)];
  return {
    post: (url, headers, body) =>
      new Promise<Answered>((done, failed) => {
        const parsed = new URL(url);
        const why = objectionTo(parsed, targets);
        if (why !== undefined) {
          failed(new TargetRefused(why));
          return;
        }
        const isSecure = parsed.protocol === 'https:';
        const length = { 'content-length': String(Buffer.byteLength(body)) };
        const given = { method: 'POST', headers: { ...headers, ...length }, agent: isSecure ? https : http };
        const endsAt = Date.now() + timeoutMs;
        const send = (): void => {
          const request: ClientRequest = (isSecure ? overHttps : overHttp)(parsed, given);
          let answer: IncomingMessage | undefined;
          const timer = setTimeout(() => {
            // Once there is a status, the rest of the answer makes no difference.
            if (answer === undefined) request.destroy(timeoutError(timeoutMs));
            else answer.destroy();
          }, endsAt - Date.now());
          request.once('close', () => clearTimeout(timer));
          request.once('error', (error) => {
            if (wasStale(request, error)) send();
            else failed(error);
          });
          // Whoever wants to speak another protocol has answered, too; Node tells of it in no other way.
          request.once('upgrade', ({ statusCode = 0 }, socket) => {
            socket.destroy();
            done({ status: statusCode, answer: '', retryAfterMs: undefined });
          });
          request.once('response', (response) => {
            answer = response;
            readAnswer(response, done);
          });
          request.end(body);
        };
        send();
      }),
    close: () => {
      http.destroy();
      https.destroy();
    },
  };
}

/** Whether the other side had just closed the idle connection that a request took up. */
function wasStale({ reusedSocket }: ClientRequest, error: Error): boolean {
  return reusedSocket && 'code' in error && error.code === 'ECONNRESET';
}

function objectionTo({ protocol, username, password, href }: URL, targets: Targets): string | undefined {
  if (!/^https?:$/.test(protocol)) return 'it is neither http nor https';
  if (username + password !== '') return 'it holds user or password';
  return refusalOf(href, targets);
}

/** Why a URL of http or https may not be dialled, as far as it says so itself: what a name stands for is looked up later. */
export function refusalOf(url: string, targets: Targets): string | undefined {
  if (!URL.canParse(url)) return undefined;
  const { protocol, hostname } = new URL(url);
  if (targets === 'public' && protocol === 'http:') return 'it is not https';
  const host = hostname.replace(/^\[|\]$/g, '');
  return isIP(host) !== 0 && !isAllowed(host, targets) ? 'its address may not be dialled' : undefined;
}

function timeoutError(ms: number): Error {
  const error = new Error(`no answer within ${ms} ms`);
  error.name = 'TimeoutError';
  return error;
}

/** The status decides; what follows it is read to its end where that is near, so that the connection can be used again. */
function readAnswer(response: IncomingMessage, done: (answered: Answered) => void): void {
  const chunks: Buffer[] = [];
  let bytes = 0;
  const finish = (): void => {
    const answer = Buffer.concat(chunks).subarray(0, ANSWER_BYTES).toString('utf8');
    const retryAfterMs = retryAfterOf(response.headers['retry-after']);
    done({ status: response.statusCode ?? 0, answer, retryAfterMs });
  };
  response.on('data', (chunk: Buffer) => {
    if (bytes < ANSWER_BYTES) chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > LONGEST_BODY_BYTES) response.destroy();
  });
  response.once('error', finish);
  response.once('close', finish);
}

const LONGEST_RETRY_AFTER_MS = 24 * 3_600_000;

/** Of seconds or of a date; at most a day. */
export function retryAfterOf(header: string | undefined, now = Date.now()): number | undefined {
  if (header === undefined) return undefined;
  const ms = /^\d{1,9}$/.test(header) ? Number(header) * 1_000 : Date.parse(header) - now;
  return ms > 0 ? Math.min(ms, LONGEST_RETRY_AFTER_MS) : undefined;
}
