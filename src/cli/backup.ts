import { stat } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { forgottenBucket } from '../eventstore/index.ts';
import { copyKeys } from '../platform/backup/keys.ts';
import { BackupError, type LeftOut, type Manifest } from '../platform/backup/manifest.ts';
import { type BackupPlan, takeBackup } from '../platform/backup/take.ts';
import { attemptsStream } from '../processes/delivery/adapters/attempts.ts';
import { deliveryBucket } from '../processes/delivery/worker.ts';
import { bucketNames, isPublicStream, publicMarks, timersStream } from '../processes/engine/index.ts';
import { notificationStream } from '../processes/notification/adapters/outbox.ts';
import { backupsBucket, noteBackup } from '../service/operators/backups.ts';
import { answersBucket } from '../service/operators/requests.ts';
import { views } from '../service/shop.ts';
import { keysStream, type StreamNames } from '../service/topology.ts';
import { toolVersion } from '../service/version.ts';
import { ownStreams, withNats } from '../service/with-nats.ts';
import { type Command, interruptible, size, UsageError } from './command.ts';
import { KEYS_APART } from './copies/keys-apart.ts';
import { type Progress, withProgress } from './shell/progress.ts';

export const backupCommand: Command = {
  name: 'backup',
  usage: '<folder> [--keys FOLDER] [--json]',
  summary: 'Copy the log, and what cannot be folded from it, into a new folder.',
  help: `The service may run meanwhile. The folder gets one file for each stream, a manifest and SHA256SUMS; it appears
when everything is in it and on disk, or not at all. Views and snapshots are left out: they are folded from the log.
The key of the e-mail addresses (users.emailKey, or email.key beside the embedded server's data) is a secret and not
in it: keep a copy elsewhere, without it a restored log cannot be used.

  --keys FOLDER  copy the keys of persons, wrapped, into this new folder and not into the backup. Restore then asks for
                 the newest such copy, and a backup alone tells nobody's name: destroy old copies of keys, and whoever
                 was forgotten since is gone from old backups, too
  --json         print what was copied as JSON

Examples:
  jetledger backup backups/2026-01-15
  jetledger backup backups/2026-01-15 --keys keys/2026-01-15
  NATS_URL=nats://localhost:4222 jetledger backup /srv/backups/monday --json
  (cd backups/2026-01-15 && sha256sum -c SHA256SUMS)`,
  run: async (args, { config, print }) => {
    const { positionals, values } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { keys: { type: 'string' }, json: { type: 'boolean', default: false } },
    });
    const [folder] = positionals;
    if (folder === undefined || positionals.length > 1)
      throw new UsageError('Name the folder to write: jetledger backup <folder>');
    const { json, keys } = values;
    const copy = (signal: AbortSignal, progress: Progress) =>
      withNats(config(), async (nats) => {
        const existing = await ownStreams(config(), nats.requests);
        const ofKeys = keysStream(config().log);
        await checkKeysFolder(keys, existing.includes(ofKeys));
        const manifest = await takeBackup({
          requests: nats.requests,
          folder,
          log: config().log,
          plan: planBackup(config().log, existing, keys !== undefined),
          toolVersion: toolVersion(),
          now: Date.now,
          signal,
          onBytes: (what, done, total) => progress.show({ what, done, total, unit: 'bytes', about: true }),
          onStream: ({ name, what, state, bytes }) => {
            progress.clear();
            if (!json)
              print(`copied  ${name.padEnd(20)} ${state.messages} messages, ${size(bytes)}  (${what})`);
          },
        });
        // Behind the log, so that whatever is sealed in it has its key.
        if (keys !== undefined) await copyKeys(nats.requests, ofKeys, keys, signal);
        const problem = await noteBackup(config(), nats, 'taken', takenOf(manifest));
        if (problem !== undefined && !json) print(`not noted on the server: ${problem}`);
        return manifest;
      });
    const manifest = await interruptible((signal) =>
      withProgress(json, (progress) => copy(signal, progress)),
    );
    if (json) print(JSON.stringify({ folder, ...manifest }, null, 2));
    else {
      for (const { name, why } of manifest.leftOut) print(`left    ${name.padEnd(20)} ${why}`);
      print(
        `The log up to position ${manifest.log.last} is in ${folder}. Prove it: jetledger verify ${folder}`,
      );
    }
    return 0;
  },
};

function takenOf({ takenAt, streams, log, toolVersion: version }: Manifest) {
  const bytes = streams.reduce((sum, stream) => sum + stream.bytes, 0);
  return { at: Date.parse(takenAt), bytes, last: log.last, streams: streams.length, version };
}

/** Before anything is copied. @throws BackupError */
async function checkKeysFolder(folder: string | undefined, isEncrypted: boolean): Promise<void> {
  if (folder === undefined) return;
  if (!isEncrypted) throw new BackupError('The log has no keys of persons: leave out --keys.');
  if ((await stat(folder).catch(() => undefined)) !== undefined)
    throw new BackupError(`${folder} exists already. Name a new folder for each copy of the keys.`);
}

const kv = (bucket: string): string => `KV_${bucket}`;

/**
 * Which of the streams that exist are copied, in which order, and why; which are not, and why not.
 *
 * What must not be ahead of something else is copied before it: a cursor says "handled or a dead letter, and armed", and a
 * place of a webhook "sent or a dead letter", so these come first, then what became a dead letter, was armed or published
 * before a cursor was written, then the log. The ledger of the simulated provider stands for one that no restore takes
 * back: it may know more than the log, and not less.
 */
function planBackup(
  { stream, prefix }: StreamNames,
  existing: readonly string[],
  keysApart: boolean,
): BackupPlan {
  const { shared, cursors, parked } = bucketNames(prefix);
  const wanted = [
    { name: kv(cursors), what: 'how far each consumer is' },
    { name: kv(deliveryBucket(prefix)), what: 'how far webhooks and notifications are' },
    { name: kv(parked), what: 'dead letters' },
    { name: kv(shared), what: 'pauses, and into how many groups consumers are shared' },
    { name: timersStream(prefix), what: 'armed timers' },
    { name: notificationStream(prefix), what: 'notifications that wait' },
    // Before their messages, or numbers would be given to none.
    { name: kv(publicMarks(prefix)), what: 'numbers of public events' },
    ...existing
      .filter((name) => isPublicStream(prefix, name))
      .map((name) => ({ name, what: 'public events' })),
    { name: stream, what: 'the log' },
    // Behind the log, so that whatever is sealed in it has its key.
    ...(keysApart ? [] : [{ name: keysStream({ prefix }), what: 'keys of persons, wrapped' }]),
    { name: kv(`${prefix}_payments`), what: 'the ledger of the simulated payment provider' },
  ];
  const streams = wanted.filter(({ name }) => existing.includes(name));
  const copied = new Set(streams.map(({ name }) => name));
  const leftOut = existing
    .filter((name) => !copied.has(name))
    .map((name) => ({ name, why: whyLeftOut(prefix, name) }));
  return { streams, leftOut };
}

/** Said of a stream that nobody here knows: then the plan has to be extended. */
const UNKNOWN = 'not known to this version: it is not in the backup';

function whyLeftOut(prefix: string, name: string): LeftOut['why'] {
  if (name === kv(`${prefix}_snapshots`)) return 'a cache';
  if (name === kv(`${prefix}_views`)) return 'says which bucket is live; made anew with the views';
  if (name === keysStream({ prefix })) return KEYS_APART;
  if (name === kv(forgottenBucket(prefix)))
    return 'who was forgotten: a ledger that is backed up apart, or an old backup would bring them back';
  if (name === attemptsStream(prefix)) return 'the last tries of webhooks: a list that is of no use later';
  if (name === kv(answersBucket(prefix))) return 'what came of requests of operators';
  if (name === kv(backupsBucket(prefix))) return 'what was noted of backups';
  if (name === kv(`${prefix}_members`)) return 'the instances that run';
  const isView = views.some((view) => name.startsWith(kv(`${prefix}_${view.name}_v`)));
  return isView ? 'a view, folded from the log again' : UNKNOWN;
}
