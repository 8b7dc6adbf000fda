import type { StreamConfig } from '@nats-io/jetstream';
import type { Logger } from 'pino';
import {
  INCARNATION_KEY,
  type Log,
  type LogStreamSettings,
  LogUnavailable,
  logStreamProblems,
  readLogConfig,
} from '../eventstore/index.ts';
import { hasRole } from '../platform/config/schema.ts';
import { isAtLeast, MINIMUM_VERSION } from '../platform/nats-server/version.ts';
import type { ViewStatus } from '../projections/engine/index.ts';
import type { Base } from './base.ts';
import { type ViewReport, viewReports } from './status.ts';

/** What is lost, each with its one cure, by the name of the check of readiness that fails for it. */
export type Losses = ReadonlyMap<string, string>;

/** Notices what was lost under a running service: the log itself, and views (protocol 23). */
export interface LossWatch {
  latest(): Losses;
  /** From now on asks the server about the views only while one of those that are kept here is not at work. */
  follow(views: () => readonly ViewStatus[]): void;
  stop(): void;
}

/** Looks so often, and believes what two looks say: within 10 s it is told, and an election's confusion is not. */
const EVERY_MS = 2_000;

/** Takes one look after the other, and logs each loss once, with its cure, and its end. */
export function createLossJudge(logger: Pick<Logger, 'error' | 'info'>): {
  take(found: Losses): void;
  latest(): Losses;
} {
  let before: Losses = new Map();
  let known: Losses = new Map();
  return {
    latest: () => known,
    take: (found) => {
      const now = new Map([...found].filter(([check]) => before.has(check)));
      for (const [check, loss] of now) if (known.get(check) !== loss) logger.error({ check }, loss);
      for (const check of known.keys()) if (!now.has(check)) logger.info({ check }, 'what was lost is back');
      [before, known] = [found, now];
    },
  };
}

function configOnServer({ config, nats }: Pick<Base, 'config' | 'nats'>) {
  const { stream } = config.log;
  return readLogConfig({
    requests: nats.requests,
    stream,
    attemptTimeoutMs: config.nats.requestTimeoutMs,
  });
}

/** The check of readiness that fails when the log is not the one that this process opened, and the other one. */
const LOG = 'log';
const LOG_CONFIGURATION = 'log configuration';

/** Why the log is not the one that this process opened, and the cure; undefined when it is. */
export function lossOfLog(
  stream: string,
  opened: string,
  onServer: StreamConfig | undefined,
): string | undefined {
  if (onServer === undefined)
    return `the server has no stream ${stream} any more. Run: jetledger restore <folder>; then restart the service`;
  const incarnation = onServer.metadata?.[INCARNATION_KEY] ?? '';
  if (incarnation === opened) return undefined;
  return (
    `the server has the incarnation ${incarnation} of the log, and this process opened ${opened}: the log was made anew ` +
    'or restored under it. Restart the service'
  );
}

/** What was changed about the log's stream, and the cure; undefined when it is as it must be. */
export function lossOfConfiguration(
  settings: LogStreamSettings,
  onServer: StreamConfig | undefined,
): string | undefined {
  const problems = onServer === undefined ? [] : logStreamProblems(onServer, settings);
  if (problems.length === 0) return undefined;
  return `the configuration of ${settings.stream} was changed: ${problems.join('; ')}. Put it back as jetledger topology plan shows it`;
}

/**
 * The log, which takes nothing more once it is known not to be the one that was opened: what was decided on the one
 * would be stored in the other. @param losses as the watch tells them
 */
export function refusingWhenLost(log: Log, losses: () => Losses): Log {
  const check = (): void => {
    const loss = losses().get(LOG);
    if (loss !== undefined) throw new LogUnavailable(loss);
  };
  return {
    ...log,
    append: async (...args) => {
      check();
      return log.append(...args);
    },
    appendAll: async (...args) => {
      check();
      return log.appendAll(...args);
    },
  };
}

/** What is wrong with the server that the process is connected to now; undefined when it is new enough. */
export function lossOfServer(version: string | undefined): string | undefined {
  if (version === undefined || isAtLeast(version, MINIMUM_VERSION)) return undefined;
  return `connected to nats-server ${version}, and ${MINIMUM_VERSION} or later is needed: an older one drops settings of the log. Update it`;
}

/** What is wrong with a view that its service does not get over, and the cure; undefined when nothing is. */
export function lossOfView({ view, state, bucket }: ViewReport): string | undefined {
  if (state === 'lost')
    return `its bucket ${bucket} is gone. The service fills a new one by itself; if this stays, run: jetledger rebuild ${view}`;
  if (state === 'foreign')
    return `its bucket ${bucket} is of another incarnation of the log, or ahead of its end. Run: jetledger rebuild ${view}`;
  return undefined;
}

/**
 * A view at work looks for its checkpoint every other second where nothing is written, and has opened it as one of this
 * log: it lacks nothing.
 */
export function isAtWork({ running, lastError, groups }: ViewStatus): boolean {
  return running && lastError === undefined && groups?.owned === groups?.of;
}

async function look(
  { config, nats, log }: Pick<Base, 'config' | 'nats' | 'log'>,
  views: (() => readonly ViewStatus[]) | undefined,
): Promise<Losses> {
  const ofServer = lossOfServer(nats.requests.connection.info?.version);
  if (ofServer !== undefined) return new Map([['nats', ofServer]]);
  const onServer = await configOnServer({ config, nats });
  const ofLog = lossOfLog(config.log.stream, log.incarnation, onServer);
  // What the views lack then only follows from it.
  if (ofLog !== undefined) return new Map([[LOG, ofLog]]);
  const ofConfiguration = lossOfConfiguration(config.log, onServer);
  if (ofConfiguration !== undefined) return new Map([[LOG_CONFIGURATION, ofConfiguration]]);
  if (!hasRole(config, 'projections') || views?.().every(isAtWork)) return new Map();
  const reports = await viewReports(config, nats, log);
  return new Map(
    reports.flatMap((report) => {
      const loss = lossOfView(report);
      return loss === undefined ? [] : [[`view ${report.view}`, loss] as const];
    }),
  );
}

/** Looks until it is stopped. While NATS is away nothing new can be said, and readiness tells that by itself. */
export function startLossWatch(base: Pick<Base, 'config' | 'logger' | 'nats' | 'log'>): LossWatch {
  const judge = createLossJudge(base.logger);
  let views: (() => readonly ViewStatus[]) | undefined;
  let looking = false;
  let stopped = false;
  const lookOnce = async (): Promise<void> => {
    if (looking) return;
    looking = true;
    const found = await look(base, views).catch(() => undefined);
    if (found !== undefined && !stopped) judge.take(found);
    looking = false;
  };
  const timer = setInterval(() => void lookOnce(), EVERY_MS);
  timer.unref();
  return {
    latest: judge.latest,
    follow: (status) => {
      views = status;
    },
    stop: () => {
      stopped = true;
      clearInterval(timer);
    },
  };
}
