import { create } from '@bufbuild/protobuf';
import { type Int32Value, Int32ValueSchema } from '@bufbuild/protobuf/wkt';
import { describe, expect, it, onTestFinished } from 'vitest';
import { user } from '../../src/domain/user.ts';
import {
  createMasterKeys,
  createNatsBuckets,
  forgottenBucket,
  systemRuntime,
} from '../../src/eventstore/index.ts';
import {
  type Decider,
  type LedgerOptions,
  makeLedger,
  openLedger,
  type Projection,
  type Rejection,
} from '../../src/ledger/index.ts';
import type { ViewIndex } from '../../src/projections/engine/index.ts';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';

const tank: Decider<number, number, Int32Value, Rejection> = {
  category: 'tank',
  events: [Int32ValueSchema],
  initial: 0,
  evolve: (litres, event) => litres + event.value,
  decide: (litres) => [create(Int32ValueSchema, { value: litres })],
};

const tanks: Projection<{ litres: number }, Int32Value> = {
  name: 'tanks',
  version: 1,
  sources: [tank],
  crossesAggregates: false,
  keyOf: (_event, { stream }) => stream.id,
  evolve: (row, event) => ({ litres: (row?.litres ?? 0) + event.value }),
};

const byId: ViewIndex<{ litres: number }> = {
  view: tanks,
  version: 1,
  columns: { id: 'text' },
  lists: [{ equal: [], sort: 'id' }],
  entryOf: (_row, id) => ({ id }),
};
const [all = { equal: [], sort: 'id' }] = byId.lists;

async function startServer(extraConfig = {}): Promise<TestServer> {
  const server = await startTestServer({ syncAlways: true, extraConfig });
  onTestFinished(server.stop);
  return server;
}

const natsOf = ({ url, monitorUrl }: TestServer) => ({ url, monitorUrls: monitorUrl, allowInsecure: true });
const meta = (commandId: string) => ({ commandId, actor: 'test' });

describe('a ledger', () => {
  it('stores commands, reads rows back, lets reactions execute commands, and closes', async () => {
    const nats = natsOf(await startServer());
    const ledger = await openLedger({
      nats,
      prefix: 'farm',
      aggregates: [tank],
      views: [tanks],
      reactions: ({ handler }) => [
        {
          name: 'overflow',
          sources: [tank],
          from: 'beginning',
          handle: async ({ stream, commitId }) => {
            if (stream.id === 't1') await handler.execute(tank, 't2', 1, meta(commitId));
          },
        },
      ],
    });
    const stored = await ledger.execute(tank, 't1', 5, meta('c1'));
    if (stored.outcome !== 'accepted') throw new Error(stored.outcome);
    const minPosition = stored.version;
    expect(await ledger.view(tanks).get('t1', { minPosition })).toMatchObject({ row: { litres: 5 } });
    expect(await ledger.view('tanks').get('t9')).toBeUndefined();
    expect(await ledger.find(tank, 't1', meta('c1'))).toMatchObject({ outcome: 'accepted', repeated: true });
    await until('the reaction', async () => (await ledger.load(tank, 't2')).state === 1);
    const commits = [];
    for await (const commit of ledger.history(tank, 't1')) commits.push(commit);
    expect(commits).toHaveLength(1);
    const page = { limit: 10, waitMs: 15_000, minPosition: (await ledger.load(tank, 't2')).version };
    expect((await ledger.view(tanks).list(byId, { list: all, equal: {} }, page)).rows).toHaveLength(2);
    expect(await ledger.status()).toMatchObject({
      connected: true,
      views: [{ view: 'tanks', running: true }],
      reactions: [{ consumer: 'overflow', stopped: false }],
    });
    await ledger.close();
    await ledger.close();
    expect(ledger.server.connection.isClosed()).toBe(true);
    const again = await openLedger({ nats, prefix: 'farm', aggregates: [tank], views: [tanks] });
    expect(await again.load(tank, 't1')).toMatchObject({ state: 5 });
    await again.close();
  });

  it('is made by two processes at once without either of them failing', async () => {
    const nats = natsOf(await startServer());
    const open = () => openLedger({ nats, prefix: 'farm', aggregates: [tank], views: [tanks] });
    const ledgers = await Promise.all([open(), open()]);
    expect(new Set(ledgers.map(({ log }) => log.incarnation)).size).toBe(1);
    for (const ledger of ledgers) await ledger.close();
  });

  it('opens in production as a user who may create nothing, once it is made', async () => {
    const publish = {
      deny: ['$JS.API.STREAM.CREATE.>', '$JS.API.STREAM.UPDATE.>', '$JS.API.STREAM.DELETE.>'],
    };
    const role = { user: 'role', password: 'r', permissions: { publish } };
    const users = [{ user: 'admin', password: 'a' }, role];
    const server = await startServer({ authorization: { users } });

    const nats = { url: server.url, monitorUrls: server.monitorUrl };
    const asRole = { ...nats, user: 'role', password: 'r' };
    const settings = { production: true, projections: { keep: false } };
    const open = () =>
      openLedger({ nats: asRole, prefix: 'farm', aggregates: [tank], views: [tanks], settings });
    await expect(open()).rejects.toMatchObject({ code: 'log/missing' });
    await makeLedger({ nats: { ...nats, user: 'admin', password: 'a' }, prefix: 'farm', settings });
    const ledger = await open();
    expect(await ledger.execute(tank, 't1', 5, meta('c1'))).toMatchObject({ outcome: 'accepted' });
    await ledger.server.connection.flush();
    await ledger.close();
  });

  it('names the bucket that is missing, and the command that makes it', async () => {
    const nats = natsOf(await startServer());
    const options = { nats, prefix: 'farm', aggregates: [tank] };
    const without = { snapshots: { enabled: false } };
    await (await openLedger({ ...options, settings: without })).close();
    const opening = openLedger({ ...options, settings: { production: true } });
    await expect(opening).rejects.toThrow(/no bucket farm_snapshots\. .*makeLedger/);
  });

  it.each<[string, Partial<LedgerOptions>, RegExp]>([
    ['a prefix that is no token', { prefix: 'no prefix' }, /^prefix: "no prefix" is not allowed/],
    ['two aggregates of one name', { aggregates: [tank, tank] }, /^aggregates: two are called tank/],
    ['two views of one name', { views: [tanks, tanks] }, /^views: two are called tanks/],
    ['a category that is no token', { aggregates: [{ ...tank, category: 'Tank' }] }, /category/],
    ['production without a server', { settings: { production: true } }, /^nats\.url is missing/],
    [
      'a server that is not there',
      { nats: { url: 'nats://127.0.0.1:1' } },
      /nats:\/\/127\.0\.0\.1:1 cannot be used/,
    ],
  ])('refuses %s, naming the setting and the cure', async (_what, wrong, message) => {
    await expect(openLedger({ prefix: 'farm', aggregates: [tank], ...wrong })).rejects.toThrow(message);
  });

  it('refuses in production a server that lets everybody in, and one that does not sync', async () => {
    const open = ({ url, monitorUrl: monitorUrls }: TestServer, allowInsecure: boolean) =>
      openLedger({
        nats: { url, monitorUrls, allowInsecure },
        prefix: 'farm',
        aggregates: [tank],
        settings: { production: true },
      });

    const server = await startTestServer({ syncAlways: false });
    onTestFinished(server.stop);
    await makeLedger({ nats: { url: server.url }, prefix: 'farm' });
    await expect(open(server, false)).rejects.toThrow('lets everybody in');
    await expect(open(server, true)).rejects.toThrow('sync_interval: always');
  });

  it('forgets a person for good, also when a process died in between', async () => {
    const nats = natsOf(await startServer());
    const personal = { masters: createMasterKeys(new Uint8Array(32).fill(7)) };
    const options = { nats, prefix: 'club', aggregates: [user], personal };
    const ledger = await openLedger(options);
    onTestFinished(ledger.close);
    const nameOf = async (id: string) => {
      const { state } = await ledger.load(user, id);
      return ledger.personal.open('name' in state ? state.name : '');
    };
    for (const id of ['ada', 'bob']) {
      const command = { type: 'register', userId: id, name: id, email: `${id}@example.com`, at: 1 } as const;
      await ledger.execute(user, id, { ...command, emailAttempt: 'a' }, meta(id));
    }
    await ledger.forget('ada');
    expect([await nameOf('ada'), await nameOf('bob')]).toEqual(['forgotten', 'bob']);
    const ledgerOnly = { key: 'bob', value: Buffer.from('{"forgotten":1}'), expectedRevision: 0 };
    const { requests } = ledger.server;
    const buckets = createNatsBuckets({
      ...{ requests, runtime: systemRuntime, replicas: 1, timeoutMs: 5_000, announceLosses: false },
    });
    await (await buckets.open(forgottenBucket('club')))?.write(ledgerOnly);
    const next = await openLedger(options);
    onTestFinished(next.close);
    await until('the lease is over', async () => (await nameOf('bob')) === 'forgotten', 3_000);
    const plain = await openLedger({ nats, prefix: 'plain', aggregates: [tank] });
    onTestFinished(plain.close);
    await expect(plain.forget('ada')).rejects.toMatchObject({ code: 'keys/unavailable' });
  });

  it('says which views it has when it is asked for another', async () => {
    const nats = natsOf(await startServer());
    const ledger = await openLedger({ nats, prefix: 'farm', aggregates: [tank], views: [tanks] });
    onTestFinished(ledger.close);
    expect(() => ledger.view('barns')).toThrow('no barns in this ledger (tanks)');
  });
});
