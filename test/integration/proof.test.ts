import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { connect, headers } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { backupCommand } from '../../src/cli/backup.ts';
import { forgetCommand } from '../../src/cli/personal/forget.ts';
import type { Proof } from '../../src/cli/prove/prove.ts';
import { startTestCluster } from '../../src/testing/nats-cluster.ts';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { must, since } from '../e2e/client.ts';
import { PAYMENT } from '../e2e/shop.ts';
import { runInProcess } from '../support/cli-in-process.ts';
import { type EncryptedService, makeLog, startEncrypted } from '../support/encrypted-service.ts';
import { storeFolder } from '../support/store-files.ts';

const EMAIL = 'augusta.byron@example.com';
const NAME = 'Augusta Ada Byron';
const STREET = '12 St James’s Square';

let folder: string;
let server: TestServer;
let service: EncryptedService;
/** Who is forgotten. */
let user = '';
/** Taken before that, and after it. */
let [before, after] = ['', ''];
/** What `--collect` wrote. */
let values = '';

const run = (...args: string[]) => runInProcess(server, forgetCommand, args, service.variables);

async function prove(...args: string[]): Promise<{ code: number; proof: Proof; text: string }> {
  const { code, text, json } = await run(user, '--prove', '--values', values, '--json', ...args);
  return { code, text, proof: json() as unknown as Proof };
}

const placesOf = ({ found }: Proof): readonly string[] => found.flatMap(({ where }) => where);

/** Everything that takes a person's text. */
async function registered(url: string): Promise<string> {
  const person = { email: 'countess@example.com', name: 'Ada' };
  const id = String((await must(201, url, 'POST', '/v1/users', person)).field('id'));
  await must(200, url, 'PATCH', `/v1/users/${id}`, { name: NAME });
  await must(200, url, 'POST', `/v1/users/${id}/email`, { email: EMAIL });
  const price = { amountMinor: 450, currency: 'EUR' };
  await must(201, url, 'POST', '/v1/products', { sku: 'TEA', name: 'Tea', price });
  await must(200, url, 'POST', '/v1/products/TEA/stock', { receiptId: 'r1', quantity: 50 });
  const deliveryAddress = { name: NAME, street: STREET, city: 'London', country: 'GB' };
  const order = { userId: id, lines: [{ sku: 'TEA', quantity: 1 }], payment: PAYMENT, deliveryAddress };
  const placed = await must(201, url, 'POST', '/v1/orders', order);
  await must(200, url, 'GET', `/v1/orders/${placed.field('id')}`, undefined, since(placed));
  return id;
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'jetledger-proof-'));
  [before, after, values] = ['before', 'after', 'values'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  server = await startTestServer();
  await makeLog(server);
  service = await startEncrypted(server);
  user = await registered(service.url);
  expect((await run(user, '--collect', values)).text).toContain('5 values and the key');
  await runInProcess(server, backupCommand, [before], service.variables);
}, 60_000);
afterAll(async () => {
  await service[Symbol.asyncDispose]();
  await server.stop();
  await rm(folder, { recursive: true, force: true });
});

it('what is looked for is written for the owner alone: each text of the person once, and the wrapped key', async () => {
  const lines = (await readFile(values, 'utf8')).trimEnd().split('\n');
  expect(lines.slice(0, -1).sort()).toEqual(['countess@example.com', EMAIL, NAME, STREET, 'London'].sort());
  expect(lines.at(-1)).toMatch(/^key:[A-Za-z0-9+/]{80}$/);
  await expect(run(user, '--collect', values)).rejects.toThrow(/EEXIST/);
  expect((await run('nobody', '--collect', join(folder, 'none'))).code).toBe(1);
});

it('before the person is forgotten, the proof fails and names it', async () => {
  const { code, proof, text } = await prove();
  expect([code, proof.ok]).toEqual([1, false]);
  expect(proof.found.map(({ what }) => what)).toContain('the key');
  expect(placesOf(proof).join('\n')).toMatch(/message \d+ of KV_jl_keys/);
  expect(text.toLowerCase()).not.toContain('byron');
});

describe('once the person is forgotten', () => {
  beforeAll(async () => {
    expect((await run(user, '--wait')).code).toBe(0);
    await runInProcess(server, backupCommand, [after], service.variables);
  }, 30_000);

  it('nothing is found in streams, buckets, files of the server and files of lists, and what was searched is told', async () => {
    const { code, proof } = await prove();
    expect([proof.found, proof.unsearched, code]).toEqual([[], [], 0]);
    const names = proof.searched.map(({ name }) => name);
    const store = await storeFolder(server.monitorUrl);
    for (const name of ['jetledger', 'KV_jl_keys', 'KV_jl_forgotten', 'jl-notifications', store])
      expect(names).toContain(name);
    expect(names).toContain(join(service.folder, 'lists'));
    expect(names.some((name) => name.startsWith('KV_jl_users_v'))).toBe(true);
    for (const { name, count, bytes } of proof.searched)
      if (name === 'jetledger' || name === store) expect(Math.min(count, bytes), name).toBeGreaterThan(0);
    // Which only somebody with users.emailKey can make.
    expect(proof.left.map(({ what }) => what).join()).toContain('keyed digest of line');
  });

  it('prints what docs/privacy.md shows', async () => {
    const docs = await readFile(new URL('../../docs/privacy.md', import.meta.url), 'utf8');
    const [, shown = ''] = /```text\n([^`]*)```/.exec(docs) ?? [];
    const form = (text: string): readonly string[] =>
      text
        .split('\n')
        .map((line) =>
          line
            .replace(/first in .*/, 'first in PLACE')
            .replace(/\/\S+|[0-9a-f-]{36}|[\d.]+ (?:KB|MB|bytes)|\d+/g, '#'),
        )
        .map((line) => line.replace(/ +/g, ' ').trimEnd());
    const printed = form((await run(user, '--prove', '--values', values)).text);
    const lines = form(shown.trimEnd()).filter((line) => line !== '...');
    expect(lines.length).toBeGreaterThan(6);
    for (const line of lines) expect(printed).toContain(line);
  });

  it('a backup from before fails by its key, and one from after passes', async () => {
    const old = await prove('--backup', before);
    expect([old.code, old.proof.found.map(({ what }) => what).join()]).toEqual([
      1,
      expect.stringContaining('the key'),
    ]);
    const next = await prove('--backup', after);
    expect([next.proof.found, next.proof.unsearched, next.code]).toEqual([[], [], 0]);
    expect(next.proof.searched.map(({ name }) => name)).toContain('jetledger');
  }, 60_000);

  it.each<readonly [string, () => Promise<readonly string[]>, RegExp]>([
    ['a line of a log', () => planted('a.log', `{"msg":"hello ${NAME}"}\n`), /the file .*a\.log/],
    ['a packed log', () => planted('b.log.gz', gzipSync(`to <${EMAIL}>`)), /the file .*b\.log\.gz/],
    ['the name of a file', () => planted(`${EMAIL}.txt`, 'nothing'), /the name of the file/],
    ['a file of lists', () => plantedIn(join(service.folder, 'lists', 'planted.db')), /lists\/planted\.db/],
    ['a file of the server', async () => plantedIn(join(await storeFolder(server.monitorUrl), 'x')), /\/x$/],
    ['a digest without a key', () => planted('c', sha256Of(EMAIL)), /the file .*\/c$/],
  ])('what is planted in %s is found there', async (place, plant, where) => {
    const args = await plant();
    try {
      const { code, proof, text } = await prove(...args);
      expect(code).toBe(1);
      for (const found of placesOf(proof)) expect(found).toMatch(where);
      expect(placesOf(proof).length).toBeGreaterThan(0);
      if (place !== 'the name of a file') expect(text.toLowerCase()).not.toContain('byron');
    } finally {
      await rm(removed.pop() ?? '', { force: true });
    }
  });

  it('what cannot be searched is told, and makes another exit code than a find', async () => {
    const bad = join(folder, 'bad.gz');
    await writeFile(bad, 'no gzip');
    const store = await mkdtemp(join(folder, 'another-store-'));
    const gone = join(folder, 'none');
    const nobody = 'http://127.0.0.1:9';
    const { code, proof } = await prove('--in', bad, '--in', gone, '--store', store, '--service', nobody);
    expect([code, proof.found]).toEqual([3, []]);
    const told = proof.unsearched.join('\n');
    for (const what of [bad, gone, `${store}: the person's id is nowhere`, `${nobody}/metrics`])
      expect(told).toContain(what);
    await writeFile(values, `${await readFile(values, 'utf8')}Ada\n`);
    expect((await prove()).proof.unsearched).toEqual([expect.stringContaining('less than 5 bytes')]);
  });

  it('traces that an instance keeps are searched, each with its spans', async () => {
    const id = 'ab'.repeat(16);
    const answers = new Map([
      ['/metrics', 'up 1'],
      ['/v1/admin/traces?limit=10000', JSON.stringify({ items: [{ traceId: id }] })],
      [`/v1/admin/traces/${id}`, JSON.stringify({ spans: [{ attributes: { name: NAME } }] })],
    ]);
    const instance = createServer((request, response) => {
      const mayAsk = request.url === '/metrics' || request.headers.authorization === 'Bearer of an admin';
      const text = mayAsk ? answers.get(request.url ?? '') : undefined;
      response.writeHead(text === undefined ? 404 : 200).end(text);
    });
    await once(instance.listen(0, '127.0.0.1'), 'listening');
    const { port } = instance.address() as AddressInfo;
    const url = `http://127.0.0.1:${port}`;
    const token = join(folder, 'token');
    await writeFile(token, 'of an admin\n');
    const { code, proof } = await prove('--service', url, '--token', token);
    instance.close();
    expect([code, placesOf(proof)]).toEqual([1, [`${url}/v1/admin/traces/${id}`]]);
    expect(proof.searched).toContainEqual(expect.objectContaining({ name: url, count: 3, unit: 'answers' }));
  });

  // These stay on the server, so they come last.
  it('what was deleted from a bucket is found in the file of the server that still holds its bytes', async () => {
    await published('$KV.jl_engine.deleted', STREET);
    await published('$KV.jl_engine.deleted', '', 'nothing', 'PURGE');
    const { code, proof } = await prove();
    const store = await storeFolder(server.monitorUrl);
    expect(code).toBe(1);
    for (const place of placesOf(proof)) expect(place).toContain(`the file ${store}`);
  });

  it.each<readonly [string, () => Promise<void>, RegExp]>([
    [
      'a row of a bucket',
      () => published('$KV.jl_engine.planted', JSON.stringify({ a: NAME })),
      /KV_jl_engine/,
    ],
    [
      'a header of an event',
      () => published('jln.welcome.nobody', '{}', Buffer.from(`x${EMAIL}`).toString('base64')),
      /the headers or subject of message \d+ of jl-notifications/,
    ],
  ])('what is planted in %s is found there', async (_, plant, where) => {
    await plant();
    const { code, proof } = await prove();
    expect(code).toBe(1);
    expect(placesOf(proof).join('\n')).toMatch(where);
  });
});

it('of three servers the files of all are searched, and a server whose files are not is told', async () => {
  await using cluster = await startTestCluster();
  const [first, second, third] = cluster.nodes.map(({ monitorUrl }) => monitorUrl);
  const all = { url: cluster.urls.join(','), monitorUrl: [first, second, third].join(',') };
  const variables = { JETLEDGER_LOG__REPLICAS: '3' };
  await makeLog(all, variables);
  await using three = await startEncrypted(all, variables);
  const person = { email: 'countess@example.com', name: NAME };
  const id = String((await must(201, three.url, 'POST', '/v1/users', person)).field('id'));
  const names = join(folder, 'names');
  await writeFile(names, `${NAME}\n`);
  const args = [id, '--prove', '--values', names, '--json'];
  const stores = await Promise.all([first, second, third].map((url) => storeFolder(url ?? '')));
  const proof = async (servers: { readonly url: string; readonly monitorUrl: string }, ...more: string[]) => {
    const variables = { ...three.variables, JETLEDGER_NATS__MONITOR_URLS: servers.monitorUrl };
    return (
      await runInProcess(servers, forgetCommand, [...args, ...more], variables)
    ).json() as unknown as Proof;
  };
  const whole = await proof(all);
  expect(whole.searched.map(({ name }) => name)).toEqual(expect.arrayContaining(stores));
  expect(whole.unsearched).toEqual([]);
  const one = { url: all.url, monitorUrl: first ?? '' };
  expect((await proof(one)).unsearched).toEqual([expect.stringContaining('the files of 2 of 3 servers')]);
  await appendFile(join(stores[2] ?? '', 'planted'), NAME);
  const named = await proof(one, '--store', stores[1] ?? '', '--store', stores[2] ?? '');
  expect(named.unsearched).toEqual([]);
  expect(placesOf(named)).toContain(`the file ${join(stores[2] ?? '', 'planted')}`);
}, 90_000);

const removed: string[] = [];

async function planted(name: string, content: string | Uint8Array): Promise<readonly string[]> {
  const path = join(folder, name);
  await writeFile(path, content);
  removed.push(path);
  return ['--in', path];
}

async function plantedIn(path: string): Promise<readonly string[]> {
  await appendFile(path, Buffer.from(`\u0000\u0001${STREET}\u0002`));
  removed.push(path);
  return [];
}

function sha256Of(text: string): string {
  return `{"digest":"${createHash('sha256').update(text).digest('base64')}"}`;
}

async function published(
  subject: string,
  content: string,
  header = 'nothing',
  operation = '',
): Promise<void> {
  const connection = await connect({ servers: server.url });
  const given = headers();
  given.set('Planted', header);
  if (operation !== '') given.set('KV-Operation', operation);
  if (operation === 'PURGE') given.set('Nats-Rollup', 'sub');
  await connection.request(subject, content, { headers: given, timeout: 2_000 });
  await connection.close();
}
