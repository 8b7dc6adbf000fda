import { parseArgs } from 'node:util';
import {
  BEGINNING,
  earliest,
  type Log,
  numberOf,
  type PersonalData,
  type Requests,
  readMarks,
  reasonOf,
  type SkipMark,
} from '../eventstore/index.ts';
import { checkFiles, type FileProblem, type OnBytes, readManifest } from '../platform/backup/manifest.ts';
import { putBackOne } from '../platform/backup/put-back.ts';
import type { Config } from '../platform/config/schema.ts';
import { loadMasterKeys } from '../platform/key-files.ts';
import { openPersonalData } from '../service/open.ts';
import { isOfThisLog, noteBackup } from '../service/operators/backups.ts';
import { describeShare } from '../service/personal/share.ts';
import { keysStream } from '../service/topology.ts';
import { quietLog, withNats } from '../service/with-nats.ts';
import { type Command, interruptible, UsageError } from './command.ts';
import { compareSummaries, type LogSummary, type Mismatch, summarise } from './copies/fold-log.ts';
import { withKeysOf } from './copies/keys-apart.ts';
import { logOn, withoutLogin, withRequestsAt, withThrowawayServer } from './copies/other-servers.ts';
import { lineOf } from './damage/skip.ts';
import { type Progress, withProgress } from './shell/progress.ts';

/** What `jetledger verify` found. */
export interface Verification {
  readonly ok: boolean;
  readonly files: readonly FileProblem[];
  readonly here?: LogSummary;
  readonly there?: LogSummary;
  readonly mismatches: readonly Mismatch[];
  /** What operators have marked to be passed over. */
  readonly skipped: readonly SkipMark[];
}

/** How much of the damage operators know of. */
function damagedAndSkipped({ damaged }: LogSummary, skipped: readonly SkipMark[]): number {
  const marked = new Set(skipped.map(({ position }) => numberOf(position)));
  return damaged.first.filter(({ position }) => marked.has(position)).length;
}

const OPTIONS = {
  live: { type: 'boolean', default: false },
  against: { type: 'string' },
  keys: { type: 'string' },
  json: { type: 'boolean', default: false },
} as const;

export const verifyCommand: Command = {
  name: 'verify',
  usage: '<folder> [--keys FOLDER] [--live | --against URL] | --live [--against URL] [--json]',
  summary: 'Prove that a backup, or a log, is whole: checksums, then a fold of every aggregate.',
  help: `With a folder, every byte is compared with the checksums (a changed file is named), the log is brought up on a server
of its own in a temporary folder, and every aggregate is folded. With two sides, both are folded up to the lower of
their ends and compared for each category: aggregates, commits, events, last position, a digest of the history and one
of the states. All states are held in memory. Nothing is changed anywhere; that a backup of its log is whole, or not, is
noted on the configured server, where there is one.

  --live          the configured server: alone, or compared with the folder
  --against URL   another server, with the same credentials unless it names its own: compared with the folder or --live
  --keys FOLDER   a copy of the keys of persons, where they were copied apart from the folder
  --json          print the findings as JSON

Personal texts are opened with the keys on the server or in the backup, so that an encrypted log is compared with what it
was made of; without a master key (privacy.masterKeys) they are compared as they are sealed. How many are plain is told.

Told, too: commits whose bytes are damaged, positions that operators have marked to be passed over (jetledger skip), and
foreign messages, which are versions without events and no fault of the log: who may write to it besides JetLedger is to
be found out (jetledger doctor). Damage that is marked is known, and makes no exit code.

Exit code 0: whole and equal; 1: it is not, holds a category that this version cannot fold, or could not be looked at.

Examples:
  jetledger verify backups/2026-01-15
  jetledger verify backups/2026-01-15 --live
  jetledger verify --live --against nats://restored:4222 --json`,
  run: async (args, { config, print }) => {
    const { positionals, values } = parseArgs({ args: [...args], allowPositionals: true, options: OPTIONS });
    const [folder] = positionals;
    const { live, against, keys, json } = values;
    if (positionals.length > 1 || (folder === undefined && !live))
      throw new UsageError('Say what to look at: jetledger verify <folder>, or jetledger verify --live');
    if (folder !== undefined && live && against !== undefined)
      throw new UsageError('A folder is compared with --live or with --against URL, not with both.');
    const found = await interruptible((signal) =>
      withProgress(json, (progress) => verify(config(), { folder, live, against, keys, signal, progress })),
    );
    if (json) print(JSON.stringify(found, null, 2));
    else for (const line of linesOf(found)) print(line);
    // Only where a server is named, or was looked at: none is started for it.
    const isThere = live || config().nats.url !== '';
    const problem = folder !== undefined && isThere ? await noteProof(config(), folder, found) : undefined;
    if (problem !== undefined && !json) print(`not noted on the server: ${problem}`);
    return found.ok ? 0 : 1;
  },
};

/** Notes on the server what was found of a backup of its log. @returns why it could not be noted */
async function noteProof(config: Config, folder: string, found: Verification): Promise<string | undefined> {
  const { ok, files, here } = found;
  try {
    const manifest = await readManifest(folder);
    return await withNats(config, async (nats) => {
      if (!(await isOfThisLog(config, nats, manifest))) return undefined;
      const takenAt = Date.parse(manifest.takenAt);
      const [damaged] = files;
      const problem = damaged ? `${damaged.file} ${damaged.problem}` : linesOf(found).at(-1);
      const last = here?.last === undefined ? manifest.log.last : numberOf(here.last);
      const note = { at: Date.now(), takenAt, last, ok, ...(!ok && { problem }) };
      return noteBackup(config, nats, 'proved', note);
    });
  } catch (error) {
    return reasonOf(error);
  }
}

interface Sides {
  readonly folder: string | undefined;
  readonly live: boolean;
  readonly against: string | undefined;
  readonly keys: string | undefined;
  readonly signal: AbortSignal;
  readonly progress: Progress;
}

async function verify(config: Config, sides: Sides): Promise<Verification> {
  const { folder, live, against, keys, signal, progress } = sides;
  const shown = (what: string, unit: string) => (done: number, total: number) =>
    progress.show({ what, done, total, unit });
  const files = folder === undefined ? [] : await checkFiles(folder, shown('checksums', 'bytes'));
  if (files.length > 0) return { ok: false, files, mismatches: [], skipped: [] };
  const onLive = <T>(work: Work<T>): Promise<T> =>
    withNats(config, async (nats) =>
      work(await quietLog(config, nats), await personalOn(config, nats.requests)),
    );
  const onFirst = <T>(work: Work<T>): Promise<T> =>
    folder === undefined
      ? onLive(work)
      : withFolderLog(config, folder, { keys, signal, onBytes: shown('bringing it up', 'bytes') }, work);
  const onSecond = async <T>(work: Work<T>): Promise<T | undefined> => {
    if (against !== undefined) return withLogAt(config, against, work);
    return folder === undefined || !live ? undefined : onLive(work);
  };
  return onFirst(async (log, personal) => {
    const first = await log.head();
    const there = await onSecond((other, othersPersonal) => {
      const onPosition = shown('folding there', 'commits');
      return summarise(other, { through: first, signal, personal: othersPersonal, onPosition });
    });
    const through = earliest(first, there?.last ?? first);
    const onPosition = shown('folding here', 'commits');
    const here = await summarise(log, { through, signal, personal, onPosition });
    const mismatches = there === undefined ? [] : compareSummaries(here, there);
    const skipped = [...(await readMarks(log)).skipped.values()];
    const isWhole = here.unknown.length === 0 && here.damaged.count === damagedAndSkipped(here, skipped);
    const ok = mismatches.length === 0 && isWhole;
    return { ok, files, here, ...(there && { there }), mismatches, skipped };
  });
}

type Work<T> = (log: Log, personal: PersonalData | undefined) => Promise<T>;

/** What opens the personal texts on a server; without a master key they are compared as they are sealed. */
async function personalOn(config: Config, requests: Requests): Promise<PersonalData | undefined> {
  const masterKeys = await loadMasterKeys(config);
  return masterKeys.length === 0 ? undefined : openPersonalData(config, { requests, masterKeys }, false);
}

function withLogAt<T>(config: Config, url: string, work: Work<T>): Promise<T> {
  return withRequestsAt(config, url, async (requests) =>
    work(await logOn(config, requests), await personalOn(config, requests)),
  );
}

/** The log of a backup, on a server of its own. */
function withFolderLog<T>(
  config: Config,
  folder: string,
  {
    keys,
    signal,
    onBytes,
  }: { readonly keys: string | undefined; readonly signal: AbortSignal; readonly onBytes: OnBytes },
  work: Work<T>,
): Promise<T> {
  const own = withoutLogin(config);
  return withThrowawayServer(config, async (url) => {
    await withRequestsAt(own, url, async (requests) => {
      const { log, streams } = await withKeysOf(await readManifest(folder), keys);
      const how = { requests, folder, replicas: 1, signal };
      for (const stream of streams) {
        if (stream.name !== log.stream && stream.name !== keysStream(config.log)) continue;
        await putBackOne({ ...how, onBytes: (_, ...bytes) => onBytes(...bytes) }, stream, {});
      }
    });
    return withLogAt(own, url, work);
  });
}

/** The first of them, and how many there are. */
function toldLines(word: string, told: LogSummary['foreign'] | undefined): string[] {
  if (told === undefined || told.count === 0) return [];
  const lines = told.first.map(({ position, detail }) => `${word}  position ${position}: ${detail}`);
  return told.count === lines.length ? lines : [...lines, `${word}  ${told.count} in all`];
}

function linesOf({ ok, files, here, there, mismatches, skipped }: Verification): string[] {
  if (files.length > 0) return files.map(({ file, problem }) => `damaged  ${file} ${problem}`);
  const lines = (here?.categories ?? []).map(
    ({ category, aggregates, commits, events, lastPosition, states }) =>
      `${category.padEnd(10)} ${aggregates} aggregates, ${commits} commits, ${events} events, last at ${lastPosition}, states ${states.slice(0, 16)}`,
  );
  if (here !== undefined) lines.push(`personal   ${describeShare(here.personal)}`);
  for (const { category, figure, here: a, there: b } of mismatches) {
    lines.push(`differs  ${category} ${figure}: ${a} here, ${b} there`);
  }
  lines.push(...toldLines('foreign', here?.foreign), ...toldLines('damaged', here?.damaged));
  lines.push(...skipped.map(lineOf));
  for (const category of here?.unknown ?? []) {
    lines.push(
      `unknown  ${category}: this version cannot fold it. Verify with the version that wrote it, or add it to the list of aggregates.`,
    );
  }
  if ((here?.unknown.length ?? 0) > 0)
    return [...lines, 'Not whole: what could not be folded is not proven.'];
  if (here !== undefined && here.damaged.count > damagedAndSkipped(here, skipped)) {
    return [...lines, 'Not whole: commits are damaged.'];
  }
  const sides = there === undefined ? 'Whole' : 'Equal on both sides';
  lines.push(
    ok ? `${sides} up to position ${numberOf(here?.last ?? BEGINNING)}.` : 'The two sides are not the same.',
  );
  return lines;
}
