import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { backupCommand } from '../../src/cli/backup.ts';
import { doctorCommand } from '../../src/cli/doctor.ts';
import { restoreCommand } from '../../src/cli/restore.ts';
import { topologyCommand } from '../../src/cli/topology.ts';
import { BEGINNING } from '../../src/eventstore/position.ts';
import { configDir, loadConfig } from '../../src/platform/config/load.ts';
import type { ServerConfig } from '../../src/platform/nats-server/launch.ts';
import { openNats } from '../../src/service/open.ts';
import { type ClusterNode, startNode } from '../../src/testing/cluster-node.ts';
import { added, counterRef, toyCommit, toyValues } from '../../src/testing/contracts/toy.ts';
import { freePorts } from '../../src/testing/nats-cluster.ts';
import { testServerBinary } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { runInProcess as run } from '../support/cli-in-process.ts';
import { createLogStream, openTestLog, TEST_LOG } from '../support/nats-log.ts';

const PLAIN: ServerConfig = {};
const ciphered = (key: string): ServerConfig => ({ jetstream: { cipher: 'aes', key } });
const RIGHT = ciphered('the right key');
const COMMITS = 300;

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'jetledger-cipher-'));
});
afterAll(async () => {
  await rm(root, { recursive: true, force: true });
});

let copies = 0;
const newFolder = (): string => join(root, `data-${copies++}`);
async function copyOf(folder: string): Promise<string> {
  const copy = newFolder();
  await cp(folder, copy, { recursive: true });
  return copy;
}

/** A server on a folder; it counts as ready when it listens, whatever it could not read. */
async function withServer<T>(
  dataDir: string,
  config: ServerConfig,
  work: (server: ClusterNode) => Promise<T>,
): Promise<T> {
  const server = await startNode({ name: 'one', dataDir, syncAlways: false, config });
  try {
    return await work(server);
  } finally {
    await server.stop();
  }
}

async function append(url: string, from: number, count: number): Promise<void> {
  await using handle = await openTestLog(url);
  for (let i = from; i < from + count; i++) {
    const { appended } = await handle.log.append(counterRef(`c${i}`), 0, toyCommit(`c${i}`, [added(i)]));
    if (!appended) throw new Error(`c${i} is there already`);
  }
}

/** What each commit of the log added, in order. */
async function valuesIn(url: string): Promise<readonly unknown[]> {
  await using handle = await openTestLog(url);
  const values: unknown[] = [];
  for await (const { commits } of handle.log.scan({ after: BEGINNING }))
    values.push(...commits.flatMap(({ decisions }) => toyValues([...decisions])));
  return values;
}

const range = (count: number): readonly number[] => Array.from({ length: count }, (_, i) => i);

/** A data folder with a log of `COMMITS` commits, and a backup of it. */
async function withLog(config: ServerConfig): Promise<{ folder: string; backup: string }> {
  const folder = newFolder();
  const backup = join(root, `backup-${copies++}`);
  await withServer(folder, config, async (server) => {
    expect((await run(server, topologyCommand, ['apply'])).code).toBe(0);
    await append(server.url, 0, COMMITS);
    expect((await run(server, backupCommand, [backup])).code).toBe(0);
  });
  return { folder, backup };
}

describe('a log that the server cannot read', () => {
  let log: { folder: string; backup: string };
  beforeAll(async () => {
    log = await withLog(RIGHT);
  });

  const UNKNOWN = { JETLEDGER_NATS__MONITOR_URLS: '' };
  it.each([
    ['a wrong key', ciphered('another key')],
    ['no key', PLAIN],
  ])('for %s is not made anew by any command, and is whole under the right one', async (_, config) => {
    const folder = await copyOf(log.folder);
    await withServer(folder, config, async (server) => {
      const refusal = /could not be recovered.*deletes the files.*cipher and key/;
      const apply = (...more: string[]) => run(server, topologyCommand, ['apply', ...more]);
      await expect(apply()).rejects.toThrow(refusal);
      await expect(apply('--new-log')).rejects.toThrow(refusal);
      await expect(run(server, restoreCommand, [log.backup, '--new-log'])).rejects.toThrow(refusal);
      const plan = await run(server, topologyCommand, ['plan']);
      expect([plan.code, plan.text]).toEqual([1, expect.stringMatching(/^refuse {2}stream jetledger: /)]);
      const doctor = await run(server, doctorCommand, ['--fix']);
      expect([doctor.code, doctor.text]).toEqual([1, expect.stringMatching(/^health: .*cipher and key/)]);
      expect(doctor.text).not.toMatch(/^done/m);
      // The monitoring is not known: nobody can tell this server from an empty one.
      for (const [command, args] of [
        [topologyCommand, ['apply']],
        [restoreCommand, [log.backup]],
      ] as const)
        await expect(run(server, command, args, UNKNOWN)).rejects.toThrow(/nats\.monitorUrls.*--new-log/);
    });
    await withServer(folder, RIGHT, async ({ url }) => {
      expect(await valuesIn(url)).toEqual(range(COMMITS));
      await append(url, COMMITS, 1);
    });
  });

  it('ends the start of an embedded server at once, which names the folder and the cause', async () => {
    const folder = await copyOf(log.folder);
    const env = {
      JETLEDGER_ENV: 'development',
      JETLEDGER_NATS__EMBEDDED__DATA_DIR: folder,
      JETLEDGER_NATS__EMBEDDED__BINARY: (await testServerBinary()).path,
    };
    const config = loadConfig({ env, dir: configDir({}) });
    for (const mode of ['own', 'join'] as const)
      await expect(openNats(config, mode)).rejects.toThrow(/could not be recovered.*cipher or key/);
    await withServer(folder, RIGHT, async ({ url }) => expect(await valuesIn(url)).toEqual(range(COMMITS)));
  });

  it('is not replaced where its files are gone and what was made with it is there', async () => {
    const folder = await copyOf(log.folder);
    await rm(join(folder, 'data/jetstream/$G/streams/jetledger'), { recursive: true });
    await withServer(folder, RIGHT, async (server) => {
      const refusal = /jetledger is not there, but .*jl-timers.* are: .*restore a backup/;
      for (const args of [['apply'], ['apply', '--new-log']])
        await expect(run(server, topologyCommand, args)).rejects.toThrow(refusal);
      expect((await run(server, doctorCommand, ['--fix'])).text).toMatch(/^log: jetledger is not there, but/);
    });
  });

  it('is told from a server that never held one, by its monitoring or by whoever vouches for it', async () => {
    for (const [args, variables] of [
      [['apply'], {}],
      [['apply', '--new-log'], UNKNOWN],
    ] as const)
      await withServer(newFolder(), RIGHT, async (server) => {
        expect((await run(server, topologyCommand, args, variables)).code).toBe(0);
      });
  });
});

describe('a plain log that gets a cipher', () => {
  it('on one server is encrypted when that starts: every commit is there, and appends go on', async () => {
    const { folder } = await withLog(PLAIN);
    await withServer(folder, RIGHT, async ({ url }) => {
      expect(await valuesIn(url)).toEqual(range(COMMITS));
      await append(url, COMMITS, 100);
    });
    await withServer(folder, RIGHT, async (server) => {
      expect(await valuesIn(server.url)).toEqual(range(COMMITS + 100));
      expect((await run(server, topologyCommand, ['apply'])).text).toMatch(/^none +stream jetledger/);
    });
  });

  it('gets back to a plain server, or under another key, by a backup', async () => {
    const { backup } = await withLog(RIGHT);
    for (const config of [PLAIN, ciphered('a new key')])
      await withServer(newFolder(), config, async (server) => {
        expect((await run(server, restoreCommand, [backup])).code).toBe(0);
        expect(await valuesIn(server.url)).toEqual(range(COMMITS));
      });
  });

  it('gets another key in place, while the server is told the former one', async () => {
    const { folder } = await withLog(RIGHT);
    const other = { cipher: 'aes', key: 'a new key', prev_key: 'the right key' };
    await withServer(folder, { jetstream: other }, ({ url }) => append(url, COMMITS, 1));
    await withServer(folder, ciphered('a new key'), async ({ url }) =>
      expect(await valuesIn(url)).toEqual(range(COMMITS + 1)),
    );
  });

  it('on three servers gets it one after the other, in place or with an empty folder that catches up', async () => {
    await using cluster = await startNodes();
    await cluster.withLeader();
    await createLogStream(cluster.url(), TEST_LOG, 3);
    let written = 0;
    const more = async (): Promise<void> => {
      await until('the log has a leader', () => answers(cluster.url()), ELECTION_MS);
      await append(cluster.url(), written, 50);
      written += 50;
    };
    await more();
    for (const [index, isEmptied] of [false, true, true].entries()) {
      await cluster.stop(index);
      await more();
      if (isEmptied) await rm(cluster.folderOf(index), { recursive: true });
      await cluster.start(index, RIGHT);
      await cluster.areCurrent(written);
      await more();
    }
    expect(await valuesIn(cluster.url())).toEqual(range(written));
    // Whoever starts with another key does not start at all, and the others go on.
    await cluster.stop(0);
    await expect(cluster.start(0, ciphered('another key'))).rejects.toThrow("Can't start JetStream");
    await more();
    await cluster.start(0, RIGHT);
    await cluster.areCurrent(written);
    expect(await valuesIn(cluster.url())).toEqual(range(written));
  }, 120_000);
});

const ELECTION_MS = 30_000;

async function answers(url: string): Promise<boolean> {
  await using handle = await openTestLog(url);
  return (await handle.log.head()) !== undefined;
}

/** Three servers that replicate, of which each may get another configuration. */
async function startNodes() {
  const ports = await freePorts(3);
  const folders = ports.map(newFolder);
  const folderOf = (index: number): string => folders[index] ?? '';
  const nodes = new Map<number, ClusterNode>();
  const start = async (index: number, config: ServerConfig): Promise<void> => {
    const cluster = {
      name: 'jetledger-cipher',
      listen: `127.0.0.1:${ports[index]}`,
      routes: ports.map((port) => `nats://127.0.0.1:${port}`),
      no_advertise: true,
    };
    const how = { name: `n${index}`, dataDir: folderOf(index), syncAlways: false };
    nodes.set(index, await startNode({ ...how, config: { ...config, cluster } }));
  };
  const stop = async (index: number): Promise<void> => {
    await nodes.get(index)?.stop();
    nodes.delete(index);
  };
  const everyNode = (what: string, holds: (jsz: Jsz) => boolean): Promise<void> =>
    until(
      what,
      async () => {
        const seen = await Promise.all([...nodes.values()].map(reported));
        return seen.every(holds);
      },
      ELECTION_MS,
    );
  await Promise.all(folders.map((_, index) => start(index, PLAIN)));
  return {
    start,
    stop,
    folderOf,
    /** Of one that is up. */
    url: (): string => [...nodes.values()][0]?.url ?? '',
    withLeader: () => everyNode('there is a leader', (jsz) => (jsz.meta_cluster?.leader ?? '') !== ''),
    areCurrent: (commits: number) => everyNode('every copy is current', (jsz) => messagesOf(jsz) === commits),
    [Symbol.asyncDispose]: async () => {
      await Promise.all([...nodes.keys()].map(stop));
    },
  };
}

interface Jsz {
  readonly meta_cluster?: { readonly leader?: string };
  readonly account_details?: readonly {
    readonly stream_detail?: readonly {
      readonly name: string;
      readonly state: { readonly messages: number };
    }[];
  }[];
}

async function reported({ monitorUrl }: ClusterNode): Promise<Jsz> {
  return (await (await fetch(`${monitorUrl}/jsz?accounts=true&streams=true`)).json()) as Jsz;
}

function messagesOf({ account_details: accounts = [] }: Jsz): number | undefined {
  const details = accounts.flatMap(({ stream_detail: streams = [] }) => streams);
  return details.find(({ name }) => name === TEST_LOG.stream)?.state.messages;
}
