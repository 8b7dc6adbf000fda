import {
  checkStream,
  createNatsBuckets,
  type Handler,
  type Log,
  type PersonalData,
  reasonOf,
  systemRuntime,
} from '../eventstore/index.ts';
import { checkGroups, defaultEngineSettings, type Engine, startEngine } from '../processes/engine/index.ts';
import { openCommands } from './commands.ts';
import { isSameLog, openLog } from './log.ts';
import { checkBuckets, howToMake, makeMissing } from './make.ts';
import type { LedgerOptions, LedgerParts } from './options.ts';
import type { Server } from './server.ts';
import type { AllLedgerSettings } from './settings.ts';
import { type OpenedViews, openViews } from './views.ts';

/** What the parts of a ledger are opened with. */
export interface LedgerBase {
  readonly options: LedgerOptions;
  readonly settings: AllLedgerSettings;
  readonly server: Server;
  readonly onTrouble: (what: string, error: unknown) => void;
  readonly requestTimeoutMs: number;
}

/** Tells of trouble where nobody said how: as a warning of the process. */
export function warnOf(what: string, error: unknown): void {
  process.emitWarning(`${what}: ${reasonOf(error)}`, 'JetLedgerWarning');
}

/** Refuses names that would only fail later, or twice the same. @throws InvalidId, RangeError */
export function checkNames({ aggregates, views = [] }: Pick<LedgerOptions, 'aggregates' | 'views'>): void {
  for (const { category } of aggregates) checkStream({ category, id: 'any' });
  checkUnique(
    'aggregates',
    aggregates.map(({ category }) => category),
  );
  checkUnique(
    'views',
    views.map(({ name }) => name),
  );
}

function checkUnique(setting: string, names: readonly string[]): void {
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined)
    throw new RangeError(`${setting}: two are called ${twice}. Give each a name of its own.`);
}

/** The log, made first where no production is. */
export async function openOwnLog(base: LedgerBase): Promise<Log> {
  const { options, settings, server, onTrouble, requestTimeoutMs } = base;
  if (!settings.production) await makeMissing(server, settings, requestTimeoutMs);
  const { log } = await openLog({
    server,
    ...settings,
    requestTimeoutMs,
    warn: (problem) => onTrouble('the log', new Error(problem)),
    observer: options.observers?.store,
    howToCreate: howToMake(settings),
  });
  if (settings.production) await checkBuckets(server.requests, settings, requestTimeoutMs);
  return log;
}

/** The command path. */
export function openHandler(base: LedgerBase, log: Log, personal: PersonalData): Promise<Handler> {
  const { options, settings, server, onTrouble, requestTimeoutMs } = base;
  const { commands, snapshots } = settings;
  return openCommands({
    log,
    requests: server.requests,
    prefix: settings.log.prefix,
    requestTimeoutMs,
    commands,
    snapshots,
    remake: { deciders: options.aggregates, perSecond: snapshots.remakePerSecond, observer: {} },
    onWrong: ({ key }) =>
      onTrouble(`the snapshot ${key}`, new Error('it was not the fold of the log; it was replaced')),
    onUnbounded: (error) => onTrouble('the bound of the snapshots cannot be kept', error),
    personal,
    observer: options.observers?.store,
  });
}

/** The views, kept in this process unless the settings say otherwise. */
export function openOwnViews(base: LedgerBase, log: Log): OpenedViews {
  const { options, settings, server, onTrouble, requestTimeoutMs } = base;
  const { keep, shared } = settings.projections;
  const keeping = {
    shared,
    coalesceRows: true,
    sameLog: () => isSameLog(server, settings.log.stream, log, requestTimeoutMs),
    onError: (view: string, error: unknown) => onTrouble(`the view ${view} has stopped`, error),
    observer: options.observers?.views,
  };
  return openViews({
    log,
    requests: server.requests,
    views: options.views ?? [],
    settings: settings.projections,
    replicas: settings.log.replicas,
    requestTimeoutMs,
    indexes: {
      ...settings.lists,
      observer: { indexFailed: ({ view, error }) => onTrouble(`the lists of ${view} cannot be kept`, error) },
    },
    keep: keep ? keeping : undefined,
  });
}

/** The reactions; nothing is started where there are none. @throws GroupsDiffer, RangeError */
export async function startReactions(base: LedgerBase, parts: LedgerParts): Promise<Engine | undefined> {
  const { options, settings, server, onTrouble, requestTimeoutMs: timeoutMs } = base;
  const consumers = options.reactions?.(parts) ?? [];
  if (consumers.length === 0) return undefined;
  const { prefix, replicas } = settings.log;
  const runtime = systemRuntime;
  const buckets = createNatsBuckets({
    requests: server.requests,
    runtime,
    replicas,
    timeoutMs,
    announceLosses: false,
  });
  const { groups } = { ...defaultEngineSettings, ...settings.processes };
  await checkGroups({ buckets, prefix }, consumers, groups);
  const observer = options.observers?.reactions;
  return startEngine({
    log: parts.log,
    handler: parts.handler,
    buckets,
    runtime,
    consumers,
    settings: { instance: settings.name, ...settings.processes },
    onError: (consumer, error) => onTrouble(`the reaction ${consumer} has stopped`, error),
    ...(observer && { observer }),
  });
}
