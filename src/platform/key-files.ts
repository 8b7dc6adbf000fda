import { execFile } from 'node:child_process';
import { hkdfSync, randomBytes } from 'node:crypto';
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Config, isProduction } from './config/schema.ts';
import { NatsUnusable } from './nats-connection.ts';

const KEY_BYTES = 32;

/**
 * The secret that e-mail addresses are hashed with: from the configuration, else from a file beside the embedded
 * server's data, made at the first start. A key made anew at each start would end uniqueness silently.
 * @throws Error when the file holds no key
 */
export async function loadEmailKey(config: Config): Promise<Uint8Array> {
  if (config.users.emailKey !== '') return Buffer.from(config.users.emailKey, 'hex');
  const path = join(config.nats.embedded.dataDir, 'email.key');
  const key = Buffer.from((await readOrMake(path)).trim(), 'hex');
  if (key.length >= KEY_BYTES) return key;
  throw new Error(
    `${path} is not a key of ${KEY_BYTES} bytes in hexadecimal. Restore it from a backup: without it addresses can be taken twice.`,
  );
}

/**
 * The keys that persons' keys are wrapped with, 32 bytes each: the first wraps, the others still unwrap. From the
 * configuration, or a file or a program that it names. Else, not in production, of the e-mail key where that is configured, so that
 * processes that share the one share the other; or a file beside the embedded server's data, made at the first start.
 * @returns none where nothing is configured, in production or where no file can be made
 * @throws NatsUnusable naming the setting or the file, when one is no key
 */
export async function loadMasterKeys(config: Config): Promise<readonly Uint8Array[]> {
  const { masterKeys, masterKeyFile, masterKeyCommand } = config.privacy;
  if (masterKeys !== '') return keysIn('privacy.masterKeys', masterKeys);
  if (masterKeyFile !== '') return keysIn(masterKeyFile, await readKeyFile(masterKeyFile));
  if (masterKeyCommand !== '') return keysIn(masterKeyCommand, await printedBy(masterKeyCommand));
  if (isProduction(config)) return [];
  if (config.users.emailKey !== '') return [masterKeyOf(Buffer.from(config.users.emailKey, 'hex'))];
  const path = join(config.nats.embedded.dataDir, 'master.key');
  // Whoever needs one in a folder that cannot be written is told so.
  const text = await readOrMake(path).catch(() => undefined);
  return text === undefined ? [] : keysIn(path, text);
}

function masterKeyOf(emailKey: Uint8Array): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', emailKey, '', 'jetledger master key', KEY_BYTES));
}

async function readKeyFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new NatsUnusable(`The file ${path} (privacy.masterKeyFile) cannot be read.`, cause);
  }
}

const run = promisify(execFile);
const COMMAND_MS = 10_000;

/** What a program prints. Nothing of it is told where it fails, since it may be a key. */
async function printedBy(command: string): Promise<string> {
  const [program = '', ...args] = command.trim().split(/\s+/);
  try {
    return (await run(program, args, { timeout: COMMAND_MS, killSignal: 'SIGKILL' })).stdout;
  } catch (cause) {
    const { code, killed, stderr = '' } = cause as { code?: unknown; killed?: boolean; stderr?: string };
    const why = killed ? `does not end within ${COMMAND_MS / 1_000} s` : `fails (${String(code)})`;
    const said = stderr.trim().split('\n').at(-1) ?? '';
    throw new NatsUnusable(`${command} (privacy.masterKeyCommand) ${why}. ${said}`.trim());
  }
}

function keysIn(place: string, text: string): readonly Uint8Array[] {
  const words = text.split(/[\s,]+/).filter((word) => word !== '');
  const keys = words.map((word) => (/^[0-9A-Fa-f]{64}$/.test(word) ? Buffer.from(word, 'hex') : undefined));
  const sound = keys.filter((key) => key !== undefined);
  if (sound.length > 0 && sound.length === keys.length) return sound;
  throw new NatsUnusable(
    `${place} does not hold master keys: give 32 bytes in hexadecimal each, the one that wraps first. ` +
      'Restore them from where you keep them: without them names and addresses can never be read again.',
  );
}

/** The text of a file, which gets a new key when it is not there. */
async function readOrMake(path: string): Promise<string> {
  const existing = await readFile(path, 'utf8').catch(() => undefined);
  if (existing !== undefined) return existing;
  await mkdir(join(path, '..'), { recursive: true, mode: 0o700 });
  // Linked into place whole, so that two first starts agree on one key.
  const draft = `${path}.${process.pid}`;
  await writeFile(draft, `${randomBytes(KEY_BYTES).toString('hex')}\n`, { mode: 0o600 });
  await link(draft, path).catch(() => undefined);
  await rm(draft, { force: true });
  return readFile(path, 'utf8');
}
