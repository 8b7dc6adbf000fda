import { parseArgs } from 'node:util';
import { takeBackup } from '../platform/backup/take.ts';
import { toolVersion } from '../service/version.ts';
import { ownStreams, withNats } from '../service/with-nats.ts';
import { planBackup } from './backup-plan.ts';
import { type Command, interruptible, size, UsageError } from './command.ts';
import { type Progress, withProgress } from './shell/progress.ts';

export const backupCommand: Command = {
  name: 'backup',
  usage: '<folder> [--json]',
  summary: 'Copy the log, and what cannot be folded from it, into a new folder.',
  help: `The service may run meanwhile. The folder gets one file for each stream, a manifest and SHA256SUMS; it appears
when everything is in it and on disk, or not at all. Views and snapshots are left out: they are folded from the log.
The key of the e-mail addresses (users.emailKey, or email.key beside the embedded server's data) is a secret and not
in it: keep a copy elsewhere, without it a restored log cannot be used.

  --json   print what was copied as JSON

Examples:
  jetledger backup backups/2026-01-15
  NATS_URL=nats://localhost:4222 jetledger backup /srv/backups/monday --json
  (cd backups/2026-01-15 && sha256sum -c SHA256SUMS)`,
  run: async (args, { config, print }) => {
    const { positionals, values } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { json: { type: 'boolean', default: false } },
    });
    const [folder] = positionals;
    if (folder === undefined || positionals.length > 1)
      throw new UsageError('Name the folder to write: jetledger backup <folder>');
    const { json } = values;
    const copy = (signal: AbortSignal, progress: Progress) =>
      withNats(config(), async (nats) =>
        takeBackup({
          requests: nats.requests,
          folder,
          log: config().log,
          plan: planBackup(config().log, await ownStreams(config(), nats.requests)),
          toolVersion: toolVersion(),
          now: Date.now,
          signal,
          onBytes: (what, done, total) => progress.show({ what, done, total, unit: 'bytes', about: true }),
          onStream: ({ name, what, state, bytes }) => {
            progress.clear();
            if (!json)
              print(`copied  ${name.padEnd(20)} ${state.messages} messages, ${size(bytes)}  (${what})`);
          },
        }),
      );
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
