import { parseArgs } from 'node:util';
import { createNatsForgetting, systemRuntime } from '../../eventstore/index.ts';
import { copyLedger } from '../../platform/backup/forgotten.ts';
import { ledgerStream } from '../../service/topology.ts';
import { ownStreams, withNats } from '../../service/with-nats.ts';
import { type Command, UsageError } from '../command.ts';

export const forgottenCommand: Command = {
  name: 'forgotten',
  usage: '<file> [--json]',
  summary: 'Copy the ledger of who was forgotten into a new file.',
  help: `It holds the ids of persons and times. restore asks for it, so that nobody who was forgotten comes back with a
backup: copy it after each forgetting, apart from the backups and from the keys, and keep the newest copy.

  --json  print JSON

Examples:
  jetledger forgotten ledgers/2026-01-15.jsonl`,
  run: async (args, { config, print }) => {
    const options = { json: { type: 'boolean', default: false } } as const;
    const { positionals, values } = parseArgs({ args: [...args], allowPositionals: true, options });
    const [file, ...rest] = positionals;
    if (file === undefined || rest.length > 0)
      throw new UsageError('Name the file to write: jetledger forgotten <file>');
    const count = await withNats(config(), async ({ requests }) => {
      const { log, nats } = config();
      const streams = await ownStreams(config(), requests);
      // Nobody was forgotten before there is one.
      if (!streams.includes(ledgerStream(log))) return copyLedger({ all: async function* () {} }, file);
      const { prefix } = log;
      const timeoutMs = nats.requestTimeoutMs;
      const ledger = createNatsForgetting({ requests, runtime: systemRuntime, prefix, timeoutMs });
      return copyLedger(ledger, file);
    });
    print(values.json ? JSON.stringify({ file, persons: count }) : `${count} persons are in ${file}.`);
    return 0;
  },
};
