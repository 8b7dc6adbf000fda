import { type DestinationStream, type Logger, type LoggerOptions, pino } from 'pino';
import { activeCommitId, activeTrace } from '../eventstore/index.ts';

import type { Config } from './config/schema.ts';
import { INSTANCE_ID } from './instance.ts';
import { type Lines, linesTo } from './standard-output.ts';

/** What a line of the log says of the trace and the message that it was written in; a new object each time, since pino writes into it. */
export function traceFields(): object {
  const active = activeTrace();
  if (active === undefined) return {};
  const commit = activeCommitId();
  const ids = { trace_id: active.traceId, span_id: active.spanId };
  return commit === undefined ? ids : { ...ids, commit_id: commit };
}

/** What `createLogger` needs to know beyond the configuration. */
export interface LoggerDeps {
  /** Where the lines go; standard output unless given. Given, the lines are JSON. */
  readonly destination?: DestinationStream;
  /** Fields added to each line, such as the ids of the trace that is under way. */
  readonly mixin?: () => object;
}

const HIDDEN = '***';

// Personal data and secrets, wherever they may stand in what is logged: at the top or one or two levels down.
const HIDDEN_NAMES = [
  'apiKey',
  'authorization',
  'cookie',
  'displayName',
  'email',
  'emailKey',
  'name',
  'newEmail',
  'password',
  'secret',
  'token',
];
const HIDDEN_PATHS = HIDDEN_NAMES.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]);

/**
 * The service's logger: JSON lines on standard output, or coloured lines for people (`logging.pretty`). Personal data
 * and secrets are masked by name, as a second line of defence: they are not to be logged in the first place.
 */
export function createLogger(config: Config, deps: LoggerDeps = {}): Logger {
  const { destination, mixin } = deps;
  const options: LoggerOptions = {
    level: config.logging.level,
    base: { service: config.service.name, instance: INSTANCE_ID, pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: { paths: HIDDEN_PATHS, censor: HIDDEN },
    ...(mixin === undefined ? {} : { mixin }),
  };
  const to =
    destination ?? (wantsPretty(config, process.stdout.isTTY === true) ? pretty() : standardOutput());
  return pino(options, config.logging.otlpEndpoint === '' ? to : alsoTaken(to));
}

/** Standard output; what waits when the process ends goes out then, also after a crash. */
function standardOutput(): Lines {
  const lines = linesTo(process.stdout.fd);
  process.once('exit', lines.flushSync);
  return lines;
}

/** Lines that nobody has taken yet: telemetry starts after the first of them. */
const MAX_EARLY = 1_000;
const early: string[] = [];
let taker: ((line: string) => void) | undefined;

/** Hands each line to somebody beside its destination, those so far included. @returns ends it */
export function takeLines(take: (line: string) => void): () => void {
  taker = take;
  for (const line of early.splice(0)) take(line);
  return () => {
    taker = undefined;
  };
}

/** A destination whose lines are taken, too. */
function alsoTaken(to: DestinationStream & Partial<Lines>): Lines {
  return {
    write: (line) => {
      to.write(line);
      if (taker !== undefined) taker(line);
      else if (early.length < MAX_EARLY) early.push(line);
    },
    flush: (done) => (to.flush === undefined ? done() : to.flush(done)),
    flushSync: () => to.flushSync?.(),
  };
}

const FLUSHED_WITHIN_MS = 1_000;

/**
 * Resolves once every line so far is written, or soon after when nobody takes them. To be awaited before the process is
 * ended: lines for people are written by a thread.
 */
export async function linesWritten(logger: Pick<Logger, 'flush'>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  await new Promise<void>((resolve) => {
    timer = setTimeout(resolve, FLUSHED_WITHIN_MS);
    // It may fail to sync what is no file; by then all is written.
    logger.flush(() => resolve());
  });
  clearTimeout(timer);
}

/** True when lines are to be made for people: asked for, or in development at a terminal. */
export function wantsPretty(config: Config, isTerminal: boolean): boolean {
  if (config.logging.pretty !== 'auto') return config.logging.pretty === 'always';
  return config.environment === 'development' && isTerminal;
}

function pretty(): DestinationStream {
  return pino.transport({
    target: 'pino-pretty',
    options: { ignore: 'pid,hostname,service,instance', translateTime: 'SYS:HH:MM:ss.l' },
  });
}
