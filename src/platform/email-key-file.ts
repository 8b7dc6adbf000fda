import { randomBytes } from 'node:crypto';
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from './config/schema.ts';

const FILE = 'email.key';
const KEY_BYTES = 32;

/**
 * The secret that e-mail addresses are hashed with: from the configuration, else from a file beside the embedded
 * server's data, made at the first start. A key made anew at each start would end uniqueness silently.
 */
export async function loadEmailKey(config: Config): Promise<Uint8Array> {
  if (config.users.emailKey !== '') return Buffer.from(config.users.emailKey, 'hex');
  const dir = config.nats.embedded.dataDir;
  const path = join(dir, FILE);
  const existing = await readFile(path, 'utf8').catch(() => undefined);
  if (existing !== undefined) return keyFrom(path, existing);
  await mkdir(dir, { recursive: true, mode: 0o700 });
  // Linked into place whole, so that two first starts agree on one key.
  const draft = `${path}.${process.pid}`;
  await writeFile(draft, `${randomBytes(KEY_BYTES).toString('hex')}\n`, { mode: 0o600 });
  await link(draft, path).catch(() => undefined);
  await rm(draft, { force: true });
  return keyFrom(path, await readFile(path, 'utf8'));
}

function keyFrom(path: string, text: string): Uint8Array {
  const key = Buffer.from(text.trim(), 'hex');
  if (key.length < KEY_BYTES) {
    throw new Error(
      `${path} is not a key of ${KEY_BYTES} bytes in hexadecimal. Restore it from a backup: without it addresses can be taken twice.`,
    );
  }
  return key;
}
