import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from '@nats-io/transport-node';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { backupCommand } from '../../src/cli/backup.ts';
import { forgottenCommand } from '../../src/cli/copies/forgotten.ts';
import { restoreCommand } from '../../src/cli/restore.ts';
import { topologyCommand } from '../../src/cli/topology.ts';
import {
  createNatsForgetting,
  createNatsPersonKeys,
  openKeyBucket,
} from '../../src/eventstore/nats/person-keys.ts';
import { createRequests } from '../../src/eventstore/nats/requests.ts';
import { createMasterKeys } from '../../src/eventstore/personal/master-keys.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { runInProcess as run } from '../support/cli-in-process.ts';
import { filesWith, storeFolder } from '../support/store-files.ts';

const masters = createMasterKeys(new Uint8Array(32).fill(3));

let folders: string;
let origin: TestServer;
/** Taken before Ada was forgotten, and after it. */
let [before, after] = ['', ''];
/** Ada's key as it is stored. */
let wrapped = '';
/** The ledger as it was before, and as it is. */
let [older, newest] = ['', ''];

async function personsOf(server: TestServer) {
  const connection = await connect({ servers: server.url });
  const options = {
    requests: createRequests(connection),
    runtime: { ...systemRuntime, sleep: async () => undefined },
    prefix: 'jl',
    timeoutMs: 2_000,
  };
  return {
    keys: createNatsPersonKeys({ ...options, masters }),
    bucket: openKeyBucket(options),
    forgetting: createNatsForgetting(options),
    [Symbol.asyncDispose]: () => connection.close(),
  };
}

beforeAll(async () => {
  folders = await mkdtemp(join(tmpdir(), 'jetledger-forgotten-'));
  [before, after, older, newest] = ['before', 'after', 'older', 'newest'].map((n) => join(folders, n)) as [
    string,
    string,
    string,
    string,
  ];
  origin = await startTestServer();
  const none = join(folders, 'none yet');
  expect((await run(origin, forgottenCommand, [none])).text).toContain('0 persons');
  expect((await run(origin, topologyCommand, ['apply'])).code).toBe(0);
  await using persons = await personsOf(origin);
  await persons.keys.keysOf(['ada', 'bob'], 'make');
  const row = await persons.bucket.get('ada', { leader: true });
  wrapped = (JSON.parse(Buffer.from(row?.value ?? '').toString()) as { wrapped: string }).wrapped;
  await run(origin, backupCommand, [before]);
  await run(origin, forgottenCommand, [older]);
  await persons.forgetting.forget('ada');
  await run(origin, backupCommand, [after]);
  await run(origin, forgottenCommand, [newest]);
}, 60_000);
afterAll(async () => {
  await origin.stop();
  await rm(folders, { recursive: true, force: true });
});

it('a backup that is older than the forgetting does not bring the person back', async () => {
  await using persons = await personsOf(origin);
  await using fresh = await startTestServer();
  expect((await run(fresh, restoreCommand, [before, '--forgotten', newest])).code).toBe(0);
  await using restored = await personsOf(fresh);
  const states = await restored.keys.keysOf(['ada', 'bob'], 'make');
  expect(states.get('ada')).toBe('forgotten');
  const [bob] = [...(await persons.keys.keysOf(['bob'], 'read')).values()];
  expect(states.get('bob')).toMatchObject({ number: typeof bob === 'object' ? bob.number : 0 });
  expect(await readFile(join(before, 'KV_jl_keys.snapshot'), 'utf8'), 'the backup has her key').toContain(
    wrapped,
  );
  expect([...(await filesWith(await storeFolder(fresh.monitorUrl), [wrapped])).keys()]).toEqual([]);
});

it('restore refuses keys without the ledger, with one that is older than they are, and with half of one', async () => {
  const half = join(folders, 'half');
  await writeFile(half, (await readFile(newest, 'utf8')).split('\n').slice(0, -2).join('\n'));
  const wrong: readonly (readonly [string[], RegExp])[] = [
    [[before], /nothing was restored.*--forgotten/s],
    [[after, '--forgotten', older], /older than the backup, which knows that ada/],
    [[before, '--forgotten', half], /cut off.*no whole copy/],
    [[before, '--forgotten', join(before, 'manifest.json')], /no whole copy/],
    [[before, '--forgotten', join(folders, 'none')], /cannot be read/],
  ];
  for (const [args, message] of wrong) {
    await using fresh = await startTestServer();
    await expect(run(fresh, restoreCommand, args), args.join(' ')).rejects.toThrow(message);
    // The next try finds a server that it takes.
    expect((await run(fresh, restoreCommand, [after, '--forgotten', newest])).code).toBe(0);
  }
}, 60_000);
