import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { restoreCommand } from '../../src/cli/restore.ts';
import { verifyCommand } from '../../src/cli/verify.ts';
import { codecOf } from '../../src/eventstore/codec/event-codec.ts';
import type { RecordedCommit } from '../../src/eventstore/log.ts';
import { personalFieldsOf, personalTexts } from '../../src/eventstore/personal/fields.ts';
import { BEGINNING } from '../../src/eventstore/position.ts';
import { aggregates } from '../../src/service/shop.ts';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { runInProcess } from '../support/cli-in-process.ts';
import { openTestLog } from '../support/nats-log.ts';
import type { Variables } from '../support/service-process.ts';

/** What an earlier build stored, when nothing was encrypted. */
const FIXTURE = fileURLToPath(new URL('../fixtures/stored', import.meta.url));
const MASTER_KEY = 'c3'.repeat(32);
/** Shorter texts may stand anywhere. */
const TELLING_CHARS = 5;

let folders: string;
let backup: string;
let variables: Variables;
let sealed: TestServer;
let plain: TestServer;

beforeAll(async () => {
  folders = await mkdtemp(join(tmpdir(), 'jetledger-encrypt-'));
  const unpack = (name: string, ...what: string[]) =>
    promisify(execFile)('tar', ['-xzf', join(FIXTURE, name), '-C', folders, ...what]);
  await unpack('backup.tgz');
  await unpack('data.tgz', 'email.key');
  backup = join(folders, 'backup');
  const emailKey = (await readFile(join(folders, 'email.key'), 'utf8')).trim();
  variables = { JETLEDGER_USERS__EMAIL_KEY: emailKey, JETLEDGER_PRIVACY__MASTER_KEYS: MASTER_KEY };
  [sealed, plain] = await Promise.all([startTestServer(), startTestServer()]);
  await runInProcess(plain, restoreCommand, [backup], variables);
  await runInProcess(sealed, restoreCommand, [backup, '--encrypt'], variables);
}, 120_000);
afterAll(async () => {
  await Promise.all([sealed.stop(), plain.stop()]);
  await rm(folders, { recursive: true, force: true });
});

/** The personal texts of a commit, as its events hold them. */
function personalTextsIn({ stream, decisions }: RecordedCommit): string[] {
  const source = aggregates.find(({ category }) => category === stream.category);
  if (source === undefined) return [];
  return decisions
    .flatMap(({ events }) => events)
    .flatMap((stored) => {
      const event = codecOf(source).decode(stored, stream.id);
      const schema = source.events.find(({ typeName }) => typeName === event.$typeName);
      if (schema === undefined) throw new Error(`no schema of ${event.$typeName}`);
      // Earlier builds did not say whose some texts are.
      const whose = 'userId' in event && event.userId === '' ? { ...event, userId: 'u' } : event;
      return personalTexts(personalFieldsOf(schema), whose, stream.id).map(({ text }) => text);
    });
}

async function personalTextsOf(server: TestServer): Promise<Set<string>> {
  await using handle = await openTestLog(server.url);
  const head = await handle.log.head();
  const found: string[] = [];
  for await (const batch of handle.log.scan({ after: BEGINNING })) {
    found.push(...batch.commits.flatMap(personalTextsIn));
    if (batch.through === head) break;
  }
  return new Set(found);
}

/** All that a server keeps on disk, one file after the other. */
async function storedBytes({ monitorUrl }: TestServer): Promise<Buffer> {
  const varz = (await (await fetch(`${monitorUrl}/varz`)).json()) as {
    readonly jetstream: { readonly config: { readonly store_dir: string } };
  };
  const entries = await readdir(varz.jetstream.config.store_dir, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  return Buffer.concat(
    await Promise.all(files.map(({ parentPath, name }) => readFile(join(parentPath, name)))),
  );
}

const verified = async (server: TestServer, args: readonly string[], more: Variables = {}) =>
  (await runInProcess(server, verifyCommand, [...args, '--json'], { ...variables, ...more })).json();

describe('a plain backup that is put back encrypted', () => {
  it('holds the same history and the same states, and none of its personal texts is plain', async () => {
    const { ok, mismatches, here, there } = (await verified(sealed, [backup, '--live'])) as {
      readonly [side in 'here' | 'there']: { readonly personal: Readonly<Record<string, number>> };
    } & { readonly ok: boolean; readonly mismatches: readonly unknown[] };
    expect({ ok, mismatches }).toEqual({ ok: true, mismatches: [] });
    expect(here.personal).toMatchObject({ sealed: 0 });
    expect(here.personal.plain).toBeGreaterThan(20);
    expect(here.personal.unkeyed).toBeGreaterThan(2);
    expect(there.personal).toEqual({ sealed: here.personal.plain, plain: 0, unkeyed: 0 });
  });

  it('leaves no name, address or reason in what the server stores, in the log or beside it', async () => {
    const texts = [...(await personalTextsOf(plain))].filter(({ length }) => length >= TELLING_CHARS);
    expect(texts.length).toBeGreaterThan(10);
    const [before, after] = [await storedBytes(plain), await storedBytes(sealed)];
    expect(texts.filter((text) => !before.includes(text))).toEqual([]);
    expect(texts.filter((text) => after.includes(text))).toEqual([]);
  });

  it('cannot be proven to be the same with another master key, and says which is missing', async () => {
    const wrong = verified(sealed, [backup, '--live'], { JETLEDGER_PRIVACY__MASTER_KEYS: 'd4'.repeat(32) });
    await expect(wrong).rejects.toThrow(/the master key \w+, which is not among those given/);
  });
});
