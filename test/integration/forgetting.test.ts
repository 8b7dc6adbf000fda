import { jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { describe, expect, it } from 'vitest';
import { ensureBucket } from '../../src/eventstore/nats/nats-buckets.ts';
import {
  createNatsForgetting,
  createNatsPersonKeys,
  openKeyBucket,
  personalKinds,
} from '../../src/eventstore/nats/person-keys.ts';
import { createRequests, type Requests } from '../../src/eventstore/nats/requests.ts';
import { rewrapKeys } from '../../src/eventstore/personal/bucket-keys.ts';
import { createMasterKeys } from '../../src/eventstore/personal/master-keys.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { startTestCluster } from '../../src/testing/nats-cluster.ts';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { filesWith, storeFolder } from '../support/store-files.ts';

const PREFIX = 'jl';
const FORMER = new Uint8Array(32).fill(1);
const CURRENT = new Uint8Array(32).fill(2);
const PERSONS = Array.from({ length: 12 }, (_, n) => `person-${n}`);
const [GONE, STAYS] = [PERSONS.slice(0, 6), PERSONS.slice(6)];
/** Leases are not what this is about. */
const runtime = { ...systemRuntime, sleep: async () => undefined };

const optionsOf = (requests: Requests) => ({ requests, runtime, prefix: PREFIX, timeoutMs: 2_000 });

async function connected(url: string) {
  const connection = await connect({ servers: url, noAsyncTraces: true });
  const requests = createRequests(connection);
  return { connection, requests, [Symbol.asyncDispose]: () => connection.close() };
}

/** Keys of all persons, of which half were wrapped anew; what was ever stored of each person, as its text there. */
async function stored(url: string, replicas = 1): Promise<ReadonlyMap<string, readonly string[]>> {
  await using opened = await connected(url);
  const jsm = await jetstreamManager(opened.connection);
  for (const [name, kind] of personalKinds(PREFIX, replicas)) await ensureBucket(jsm, name, kind);
  const options = optionsOf(opened.requests);
  const bucket = openKeyBucket(options);
  const texts = new Map(PERSONS.map((person) => [person, [] as string[]]));
  const note = async (): Promise<void> => {
    for await (const { key, value } of bucket.rows()) {
      const { wrapped } = JSON.parse(Buffer.from(value).toString()) as { wrapped: string };
      texts.get(key)?.push(wrapped);
    }
  };
  await createNatsPersonKeys({ ...options, masters: createMasterKeys(FORMER) }).keysOf(PERSONS, 'make');
  await note();
  await rewrapKeys({ bucket, masters: createMasterKeys(CURRENT, [FORMER]) });
  await note();
  return texts;
}

const textsOf = (texts: ReadonlyMap<string, readonly string[]>, persons: readonly string[]) =>
  persons.flatMap((person) => texts.get(person) ?? []);
const newest = (texts: ReadonlyMap<string, readonly string[]>, persons: readonly string[]) =>
  persons.map((person) => texts.get(person)?.at(-1) ?? '');

async function found(monitorUrl: string, texts: readonly string[]): Promise<string[]> {
  return [...(await filesWith(await storeFolder(monitorUrl), texts)).values()].flat();
}

/** Requests that end with the process after so many. */
function dyingAfter(requests: Requests, count: number): Requests {
  let left = count;
  return {
    ...requests,
    request: (...given) => {
      if (left-- <= 0) throw new Error('the process is gone');
      return requests.request(...given);
    },
  };
}

async function finish(url: string): Promise<number> {
  await using opened = await connected(url);
  return await createNatsForgetting(optionsOf(opened.requests)).finish();
}

async function forgetAll(url: string, persons: readonly string[]): Promise<void> {
  await using opened = await connected(url);
  const forgetting = createNatsForgetting(optionsOf(opened.requests));
  await Promise.all(persons.map((person) => forgetting.forget(person)));
}

describe('on one server, of a person who was forgotten', () => {
  it('no byte of any key that there was is in the files, and those of others are', async () => {
    await using server = await startTestServer();
    const texts = await stored(server.url);
    expect(await found(server.monitorUrl, newest(texts, GONE))).toHaveLength(GONE.length);
    await forgetAll(server.url, GONE);
    expect(await found(server.monitorUrl, textsOf(texts, GONE))).toEqual([]);
    const kept = await found(server.monitorUrl, textsOf(texts, STAYS));
    expect(kept.sort()).toEqual([...newest(texts, STAYS)].sort());
  });

  it('the ledger keeps the first word, whatever is written later', async () => {
    await using server = await startTestServer();
    await stored(server.url);
    await forgetAll(server.url, ['person-0']);
    await using opened = await connected(server.url);
    const subject = `$KV.${PREFIX}_forgotten.person-0`;
    const reply = await opened.requests.request(subject, 'not so', { timeoutMs: 2_000 });
    const answer = reply.failed === undefined ? reply.msg.json() : reply.failed;
    expect(answer).toMatchObject({ error: { err_code: expect.any(Number) } });
    const jsm = await jetstreamManager(opened.connection);
    const stream = `KV_${PREFIX}_forgotten`;
    await expect(jsm.streams.purge(stream)).rejects.toThrow();
    await expect(jsm.streams.deleteMessage(stream, 1)).rejects.toThrow();
  });

  it('nothing is left whichever request was the last one of a process that is killed meanwhile', async () => {
    await using server = await startTestServer();
    const texts = await stored(server.url);
    await using opened = await connected(server.url);
    for (const [n, person] of PERSONS.entries()) {
      const requests = dyingAfter(opened.requests, n);
      await createNatsForgetting(optionsOf(requests))
        .forget(person)
        .catch(() => undefined);
    }
    // The first one had nothing entered in the ledger, so that nobody knows of it.
    expect(await finish(server.url)).toBeGreaterThan(3);
    expect(await found(server.monitorUrl, textsOf(texts, PERSONS))).toEqual(newest(texts, ['person-0']));
    expect(await finish(server.url)).toBe(0);
  });

  it('nothing is left when the server is killed with SIGKILL meanwhile', async () => {
    await using server = await startTestServer({ syncAlways: true });
    const texts = await stored(server.url);
    const [first, second] = [GONE.slice(0, 3), GONE.slice(3)];
    await forgetAll(server.url, first);
    const interrupted = forgetAll(server.url, second).catch(() => undefined);
    await server.kill9();
    await server.restart();
    await interrupted;
    await ends(server, second);
    expect(await found(server.monitorUrl, textsOf(texts, GONE))).toEqual([]);
    expect(await found(server.monitorUrl, newest(texts, STAYS))).toHaveLength(STAYS.length);
  });
});

/** Says it again, as a client would, until it is done. */
async function ends(server: TestServer, persons: readonly string[]): Promise<void> {
  const again = () =>
    forgetAll(server.url, persons).then(
      () => true,
      () => false,
    );
  await until('they are forgotten', again, 20_000);
}

it('on three servers no byte of a key of a forgotten person is in the streams of any', async () => {
  await using cluster = await startTestCluster();
  const [url = ''] = cluster.urls;
  const texts = await stored(url, 3);
  const left = async () => {
    const all = cluster.nodes.map(async ({ monitorUrl }) => [
      ...(await filesWith(await storeFolder(monitorUrl), textsOf(texts, GONE))).keys(),
    ]);
    return (await Promise.all(all)).flat();
  };
  expect((await left()).filter(isStream)).toHaveLength(3);
  await forgetAll(url, GONE);
  await until('all copies have it', async () => !(await left()).some(isStream), 10_000);
}, 60_000);

/** The log of a group of servers keeps what was written until they make a snapshot, some two minutes. */
const isStream = (file: string): boolean => !file.includes('/_js_/');
