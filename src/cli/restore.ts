import { randomUUID } from 'node:crypto';
import { parseArgs } from 'node:util';
import { type ForgottenPerson, managerOf, positionOf } from '../eventstore/index.ts';
import { forgetAgain, readLedgerCopy } from '../platform/backup/forgotten.ts';
import { BackupError, checkFiles, logOf, type Manifest, readManifest } from '../platform/backup/manifest.ts';
import { occupiedStreams, putBack } from '../platform/backup/put-back.ts';
import type { Config } from '../platform/config/schema.ts';
import { objectionToNewLog } from '../platform/new-log.ts';
import { checkEmailKey } from '../platform/topology.ts';
import { type Nats, openLedgerOfForgotten } from '../service/open.ts';
import { noteBackup } from '../service/operators/backups.ts';
import { askToForgetAgain } from '../service/personal/erasing.ts';
import { keysStream, ledgerStream } from '../service/topology.ts';
import { translateEngine } from '../service/translate-cursors.ts';
import { bucketsOf, withNats } from '../service/with-nats.ts';
import { type Command, interruptible, UsageError } from './command.ts';
import { withEncryptedBackup } from './copies/encrypt-backup.ts';
import { withKeysOf } from './copies/keys-apart.ts';
import { type Progress, withProgress } from './shell/progress.ts';

const OPTIONS = {
  encrypt: { type: 'boolean', default: false },
  forgotten: { type: 'string' },
  keys: { type: 'string' },
  'new-log': { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
} as const;

export const restoreCommand: Command = {
  name: 'restore',
  usage: '<folder> [--encrypt] [--keys FOLDER] [--forgotten FILE] [--new-log] [--json]',
  summary: 'Bring a backup back on a server that has no log.',
  help: `Stop every service first. The checksums are compared before anything is written, and a server that holds a log, a
bucket or a stream of JetLedger already is refused. The log comes back as a new incarnation: what was handed out before
(position tokens, cursors of lists) is refused instead of misread, views and snapshots are folded anew. What fails or
is interrupted is undone. users.emailKey must be the key that the log was made with, and privacy.masterKeys those that
the keys in an encrypted backup are wrapped with.

  --encrypt  encrypt what is plain: personal texts in the log under keys of their persons, digests of requests under the
             e-mail key. Positions, ids, times and order stay. Takes two servers of its own and room for three copies in
             the temporary folder, where plain data lies meanwhile
  --keys FOLDER
             the newest copy of the keys of persons, where they were copied apart (jetledger backup --keys)
  --forgotten FILE
             a copy of the ledger of who was forgotten (jetledger forgotten). A backup with keys of persons needs it,
             unless the server has the ledger still: everybody in it is forgotten again before the log is there
  --new-log  you vouch that the server never held a log, where its monitoring is not named (nats.monitorUrls) or does not
             answer: one with another key does not show the log that it holds, and would delete it
  --json     print what was restored as JSON

Examples:
  NATS_URL=nats://new-server:4222 jetledger restore backups/2026-01-15
  JETLEDGER_NATS__EMBEDDED__DATA_DIR=/srv/restored jetledger restore backups/2026-01-15
  jetledger restore backups/2026-01-15 --encrypt`,
  run: async (args, { config, print }) => {
    const { positionals, values } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: OPTIONS,
    });
    const [folder] = positionals;
    if (folder === undefined || positionals.length > 1)
      throw new UsageError('Name the backup: jetledger restore <folder>');
    const incarnation = randomUUID();
    const say = values.json ? () => undefined : print;
    const manifest = await withProgress(values.json, async (progress) => {
      const backup = await soundManifest(folder, config().log, progress);
      const sound = await withKeysOf(backup, values.keys);
      await interruptible((signal) =>
        withNats(config(), async (nats) => {
          await checkTarget(nats, sound, values['new-log']);
          const forgotten = await forgottenFor(nats, sound, values.forgotten);
          const restore = (copy: Manifest) => {
            const how = { folder, manifest: copy, incarnation, forgotten, signal, progress };
            return restoreAll(config(), nats, how, say);
          };
          const { emailKey, masterKeys } = nats;
          const plain = { folder, manifest: sound, emailKey, masterKeys, signal, progress };
          await (values.encrypt ? withEncryptedBackup(config(), plain, restore) : restore(sound));
          const { takenAt, log } = sound;
          const note = { at: Date.now(), takenAt: Date.parse(takenAt), last: log.last };
          const problem = await noteBackup(config(), nats, 'restored', note);
          if (problem !== undefined) say(`not noted on the server: ${problem}`);
        }),
      );
      return sound;
    });
    const { last } = manifest.log;
    const restored = { folder, incarnation, last, streams: manifest.streams.map(({ name }) => name) };
    if (values.json) print(JSON.stringify(restored, null, 2));
    else
      print(
        `The log is back up to position ${last}, as ${incarnation}. Start the service; it folds the views.`,
      );
    return 0;
  },
};

/** @throws BackupError naming every file that is not what was written */
async function soundManifest(
  folder: string,
  { stream, prefix }: Config['log'],
  progress: Progress,
): Promise<Manifest> {
  const problems = await checkFiles(folder, (done, total) =>
    progress.show({ what: 'checksums', done, total, unit: 'bytes' }),
  );
  if (problems.length > 0) {
    const list = problems.map(({ file, problem }) => `${file} ${problem}`).join('; ');
    throw new BackupError(
      `The backup ${folder} is damaged: ${list}. Nothing was restored; use another backup.`,
    );
  }
  const manifest = await readManifest(folder);
  if (manifest.log.stream === stream && manifest.log.prefix === prefix) return manifest;
  const { log } = manifest;
  throw new BackupError(
    `The backup is of the log ${log.stream} with the prefix ${log.prefix}, and the configuration names ${stream} and ${prefix}. ` +
      `Set log.stream: ${log.stream} and log.prefix: ${log.prefix}.`,
  );
}

async function checkTarget(nats: Nats, manifest: Manifest, isNew: boolean): Promise<void> {
  const { requests, emailKey, monitorUrls } = nats;
  const stored = logOf(manifest)?.config;
  if (stored !== undefined) checkEmailKey(stored, emailKey.check);
  const occupied = await occupiedStreams(requests, manifest);
  if (occupied.length > 0)
    throw new BackupError(
      `The server is not empty: it has ${occupied.join(', ')}. Restore into an empty one, for example on a new data folder.`,
    );
  const { connection } = requests;
  const { stream } = manifest.log;
  const objection = await objectionToNewLog({ connection, stream, left: [], monitorUrls, isNew });
  if (objection !== undefined) throw new BackupError(`Nothing was restored: ${objection}.`);
}

/** Who is in the given ledger. @throws BackupError when there is none and the backup has keys of persons */
async function forgottenFor(
  { requests }: Nats,
  { log, streams }: Manifest,
  file: string | undefined,
): Promise<readonly ForgottenPerson[]> {
  if (file !== undefined) return readLedgerCopy(file);
  const keys = streams.find(({ name }) => name === keysStream(log));
  if (keys === undefined || keys.state.messages === 0) return [];
  const jsm = await managerOf(requests);
  for await (const name of jsm.streams.names()) if (name === ledgerStream(log)) return [];
  throw new BackupError(
    'The backup has keys of persons, and the server does not say who was forgotten since: nothing was restored. Give ' +
      'the newest copy of that ledger: --forgotten <file> (jetledger forgotten).',
  );
}

/** The keys now; the users, whom the log does not know as forgotten yet, by whoever runs next. @throws as `forgetAgain` */
async function forgetPersonsAgain(
  config: Config,
  nats: Nats,
  { takenAt }: Manifest,
  entered: readonly ForgottenPerson[],
): Promise<void> {
  const ledger = await openLedgerOfForgotten(config, nats);
  await forgetAgain(ledger, entered);
  const since = Date.parse(takenAt) - CLOCKS_MS;
  const persons: string[] = [];
  for await (const { person, at } of ledger.all()) if (at >= since) persons.push(person);
  await askToForgetAgain({ buckets: bucketsOf(config, nats.requests), prefix: config.log.prefix }, persons);
}

/** So far clocks may be apart, in milliseconds. */
const CLOCKS_MS = 600_000;

async function restoreAll(
  config: Config,
  nats: Nats,
  {
    folder,
    manifest,
    incarnation,
    forgotten,
    signal,
    progress,
  }: {
    folder: string;
    manifest: Manifest;
    incarnation: string;
    forgotten: readonly ForgottenPerson[];
    signal: AbortSignal;
    progress: Progress;
  },
  say: (line: string) => void,
): Promise<void> {
  const { prefix, replicas } = config.log;
  const incarnations = {
    from: manifest.log.incarnation,
    to: incarnation,
    last: positionOf(manifest.log.last),
  };
  await putBack({
    requests: nats.requests,
    folder,
    manifest,
    replicas,
    incarnation,
    translate: async () => {
      await translateEngine(bucketsOf(config, nats.requests), prefix, incarnations);
      const hasKeys = manifest.streams.some(({ name }) => name === keysStream({ prefix }));
      if (hasKeys) await forgetPersonsAgain(config, nats, manifest, forgotten);
    },
    signal,
    onBytes: (what, done, total) => progress.show({ what, done, total, unit: 'bytes' }),
    onStream: ({ name, what, state }) => {
      progress.clear();
      say(`restored  ${name.padEnd(20)} ${state.messages} messages  (${what})`);
    },
  });
}
