import { readFile } from 'node:fs/promises';
import { text as textOf } from 'node:stream/consumers';
import { writeHashed } from '../../platform/backup/manifest.ts';
import { openPersonalData } from '../../service/open.ts';
import { quietLog, withNats } from '../../service/with-nats.ts';
import { type CommandContext, interruptible, UsageError } from '../command.ts';
import { withProgress } from '../shell/progress.ts';
import { collectValues, storedKeyOf } from './collect.ts';
import { type ProofRequest, proveBackup, proveLive } from './prove.ts';
import { linesOfProof } from './report.ts';
import { readValues, writeValues } from './values.ts';

/** Options of `jetledger forget` that say what is looked for, and where. */
export const PROOF_OPTIONS = {
  collect: { type: 'string' },
  prove: { type: 'boolean', default: false },
  values: { type: 'string' },
  backup: { type: 'string' },
  store: { type: 'string', multiple: true },
  in: { type: 'string', multiple: true },
  service: { type: 'string', multiple: true },
  token: { type: 'string' },
} as const;

/** What they do, for the help. */
export const PROOF_HELP = `  --collect FILE  before: write what the log holds of the user into a new file, one value a line, and their wrapped key;
                  forget nobody. Strike out what others share, such as a city, and destroy the file after the proof
  --prove         after: search everything for values, print where they are and never what they are, forget nobody
  --values FILE   the values, one a line, as --collect wrote them or by hand; - reads them from standard input, and no
                  value is ever an argument, which others on the machine could see
  --backup DIR    search this backup instead of the servers
  --store DIR     a folder in which a server keeps its streams, as its store_dir says, once for each server; those of
                  servers on this machine are found by their monitoring
  --in PATH       search this file or folder, too: logs, files of lists of other instances; .gz is unpacked
  --service URL   search the metrics of this instance and the traces that it keeps; --token FILE has an admin's token
  --json          print JSON

The proof reads every message of every stream and bucket, with headers and subjects, the servers' files, and the files
of lists on this machine. It looks for each value in any case, in UTF-8, JSON, URLs, hexadecimal and base64, for SHA-256
of it, and for digests of requests that held nothing else. Digests under users.emailKey may stay, and are told as kept.

Exit code 1 when something was found, 3 when nothing was and something could not be searched.`;

/** What was given of them. */
export interface ProofArguments {
  readonly collect?: string | undefined;
  readonly prove: boolean;
  readonly values?: string | undefined;
  readonly backup?: string | undefined;
  readonly store?: readonly string[] | undefined;
  readonly in?: readonly string[] | undefined;
  readonly service?: readonly string[] | undefined;
  readonly token?: string | undefined;
  readonly json: boolean;
}

const [DONE, FOUND, UNSEARCHED] = [0, 1, 3];

/** Whether any of them was given: then nobody is forgotten, also where a word was left out. */
export function asksForProof({ collect, prove, values, backup, ...more }: ProofArguments): boolean {
  const others = [collect, values, backup, more.store, more.in, more.service];
  return prove || others.some((one) => one !== undefined);
}

/** Proves, or writes down what is to be looked for later. @returns the exit code @throws UsageError */
export async function runProof(
  user: string,
  given: ProofArguments,
  context: Pick<CommandContext, 'config' | 'print'>,
): Promise<number> {
  const { collect, prove, values, backup, json } = given;
  if (collect !== undefined) {
    if (prove || values !== undefined) throw new UsageError('--collect goes alone: it writes the values.');
    return collectInto(collect, user, given, context);
  }
  if (!prove)
    throw new UsageError('What is searched, and for what, goes with --prove. Nobody was forgotten.');
  if (values === undefined)
    throw new UsageError('Say what to look for: --values FILE, or --values - for standard input.');
  const text = values === '-' ? await textOf(process.stdin) : await readFile(values, 'utf8');
  const token = given.token === undefined ? '' : (await readFile(given.token, 'utf8')).trim();
  const request: ProofRequest = {
    token,
    ...{ user, values: readValues(text) },
    ...{ stores: given.store ?? [], files: given.in ?? [], services: given.service ?? [] },
  };
  const proof = await interruptible((signal) =>
    withProgress(json, (progress) => {
      const how = { config: context.config(), signal, progress };
      return backup === undefined ? proveLive(how, request) : proveBackup(how, backup, request);
    }),
  );
  if (json) context.print(JSON.stringify(proof, null, 2));
  else for (const line of linesOfProof(proof)) context.print(line);
  if (proof.found.length > 0) return FOUND;
  return proof.ok ? DONE : UNSEARCHED;
}

async function collectInto(
  file: string,
  user: string,
  { json }: ProofArguments,
  { config, print }: Pick<CommandContext, 'config' | 'print'>,
): Promise<number> {
  const { values, keys } = await interruptible((signal) =>
    withProgress(json, (progress) =>
      withNats(config(), async (nats) => {
        const log = await quietLog(config(), nats);
        const personal = await openPersonalData(config(), nats, false);
        const key = await storedKeyOf(config(), nats.requests, user);
        const onPosition = (done: number, total: number) =>
          progress.show({ what: 'the log', done, total, unit: 'positions' });
        const found = await collectValues({ log, personal }, user, { signal, onPosition });
        return { values: found, keys: key !== undefined && 'wrapped' in key ? [key.wrapped] : [] };
      }),
    ),
  );
  if (values.length + keys.length === 0) {
    print(json ? 'null' : `The log holds nothing of ${user} that is encrypted: nothing was written.`);
    return FOUND;
  }
  await writeHashed(file, [Buffer.from(writeValues(values, keys))]);
  const counts = { file, values: values.length, keys: keys.length };
  print(
    json
      ? JSON.stringify(counts)
      : `${values.length} values and ${keys.length === 0 ? 'no' : 'the'} key of ${user} are in ${file}.`,
  );
  return DONE;
}
