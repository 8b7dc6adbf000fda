import { stat } from 'node:fs/promises';
import { createEmailKey } from '../../app/email-key.ts';
import { type Requests, reasonOf } from '../../eventstore/index.ts';
import { BackupError, checkFiles, readManifest } from '../../platform/backup/manifest.ts';
import { putBackOne } from '../../platform/backup/put-back.ts';
import type { Config } from '../../platform/config/schema.ts';
import { loadEmailKey } from '../../platform/key-files.ts';
import type { Nats } from '../../service/open.ts';
import { withNats } from '../../service/with-nats.ts';
import { withoutLogin, withRequestsAt, withThrowawayServer } from '../copies/other-servers.ts';
import type { Progress } from '../shell/progress.ts';
import { storedKeyOf } from './collect.ts';
import { searchFiles } from './files.ts';
import { createSearch, type Find, type Search } from './search.ts';
import { searchService } from './service.ts';
import { type Searched, searchStreams } from './streams.ts';
import { needlesOf, type PersonalValues } from './values.ts';

/** Of whom nothing may be left, and where that is looked for. */
export interface ProofRequest {
  readonly user: string;
  readonly values: PersonalValues;
  /** Folders in which servers keep their streams. */
  readonly stores: readonly string[];
  /** Further files and folders, such as logs and files of lists. */
  readonly files: readonly string[];
  /** Addresses of running instances, and the token of an admin that they ask for; empty where they ask for none. */
  readonly services: readonly string[];
  readonly token: string;
}

/** What a proof has looked for and found; never a value. */
export interface Proof {
  /** True when nothing was found and everything was searched. */
  readonly ok: boolean;
  readonly user: string;
  /** How many values and keys were looked for. */
  readonly values: number;
  readonly keys: number;
  readonly searched: readonly Searched[];
  /** How many bytes. */
  readonly bytes: number;
  readonly found: readonly Find[];
  /** Digests under a secret key. */
  readonly left: readonly Find[];
  /** What could not be searched, and why. */
  readonly unsearched: readonly string[];
}

export interface ProofContext {
  readonly config: Config;
  readonly signal: AbortSignal;
  readonly progress: Progress;
}

/** A proof under way. */
interface Work extends ProofContext {
  readonly search: Search;
  readonly searched: Searched[];
  readonly unsearched: string[];
}

/** Searches the configured servers, and whatever else was named. @throws BackupError once the signal has fired */
export function proveLive(context: ProofContext, request: ProofRequest): Promise<Proof> {
  return prove(context, request, (work) =>
    withNats(context.config, async (nats) => {
      const servers = await searchServer(work, nats.requests, request.user);
      if (nats.viewRequests !== nats.requests) {
        const more = await searchServer(work, nats.viewRequests, undefined);
        for (const name of more) servers.add(name);
      }
      const { dir } = context.config.lists;
      const lists = dir !== '' && (await isThere(dir)) ? [dir] : [];
      await searchStores(work, await storesOf(nats, request.stores, work), Math.max(1, servers.size));
      for (const path of new Set([...lists, ...request.files])) await searchFolder(work, path);
      for (const url of request.services) note(work, await searchService(url, request.token, work.search));
    }),
  );
}

/** Searches a backup: its files, and what it holds on a server of its own. @throws BackupError */
export function proveBackup(context: ProofContext, folder: string, request: ProofRequest): Promise<Proof> {
  const { config, signal, progress } = context;
  return prove(context, request, async (work) => {
    const [problem] = await checkFiles(folder);
    if (problem !== undefined)
      throw new BackupError(`The backup is damaged: ${problem.file} ${problem.problem}.`);
    const { streams } = await readManifest(folder);
    await searchFolder(work, folder);
    const own = withoutLogin(config);
    await withThrowawayServer(config, (url, dataDir) =>
      withRequestsAt(own, url, async (requests) => {
        const onBytes = (what: string, done: number, total: number) =>
          progress.show({ what, done, total, unit: 'bytes' });
        for (const stream of streams)
          await putBackOne({ requests, folder, replicas: 1, signal, onBytes }, stream, {});
        await searchServer(work, requests, request.user);
        await searchStores(work, [dataDir], 1);
      }),
    );
    for (const path of request.files) await searchFolder(work, path);
  });
}

async function prove(
  context: ProofContext,
  { user, values }: ProofRequest,
  look: (work: Work) => Promise<void>,
): Promise<Proof> {
  const emailKey = createEmailKey(await loadEmailKey(context.config));
  const search = createSearch(needlesOf(values, user, emailKey));
  const work: Work = { ...context, search, searched: [], unsearched: [...values.refused] };
  await look(work);
  const { searched, unsearched } = work;
  const [found, left] = [search.found(), search.left()];
  return {
    ok: found.length === 0 && unsearched.length === 0,
    ...{ user, values: values.values.length, keys: values.keys.length },
    ...{ searched, bytes: search.bytes, found, left, unsearched },
  };
}

/** @param user whose key is looked at, too; undefined where keys are elsewhere @returns names of the servers that keep the streams */
async function searchServer(work: Work, requests: Requests, user: string | undefined): Promise<Set<string>> {
  const { config, search, signal, progress } = work;
  const { searched, unsearched, servers } = await searchStreams(requests, {
    ...{ search, signal, timeoutMs: config.nats.requestTimeoutMs },
    onMessages: (what, done, total) => progress.show({ what, done, total, unit: 'messages' }),
  });
  work.searched.push(...searched);
  work.unsearched.push(...unsearched);
  const key = user === undefined ? undefined : await storedKeyOf(config, requests, user);
  if (key !== undefined && !('forgotten' in key))
    search.tell('the key', 'the bucket of keys: nobody has destroyed it');
  else if (key?.erasing === true)
    search.tell('the key', 'the bucket of keys: destroying it has not ended; start a service, which ends it');
  return new Set(servers);
}

const ANSWER_MS = 5_000;

/** Folders of servers that are named, and those of servers on this machine, as their monitoring says. */
async function storesOf(
  nats: Nats,
  named: readonly string[],
  { unsearched }: Work,
): Promise<readonly string[]> {
  const stores = new Set(named);
  for (const url of nats.monitorUrls) {
    try {
      const response = await fetch(`${url.replace(/\/$/, '')}/jsz`, {
        signal: AbortSignal.timeout(ANSWER_MS),
      });
      const { config } = (await response.json()) as { readonly config?: { readonly store_dir?: string } };
      if (config?.store_dir !== undefined && (await isThere(config.store_dir))) stores.add(config.store_dir);
    } catch (error) {
      unsearched.push(`where the server of ${url} keeps its files: ${reasonOf(error)}`);
    }
  }
  return [...stores];
}

async function searchStores(work: Work, stores: readonly string[], servers: number): Promise<void> {
  for (const store of stores) {
    if ((await searchFolder(work, store)) > 0) continue;
    work.unsearched.push(
      `${store}: the person's id is nowhere in it, so it is not what this log is kept in, or encrypted`,
    );
  }
  if (stores.length < servers)
    work.unsearched.push(
      `the files of ${servers - stores.length} of ${servers} servers: name their folders with --store, where they can be read`,
    );
}

/** @returns in how many of its files the person's id was */
async function searchFolder(work: Work, path: string): Promise<number> {
  const { search, signal, progress } = work;
  const found = await searchFiles(path, {
    ...{ search, signal },
    onFile: () =>
      progress.show({ what: path, done: search.bytes, total: search.bytes, unit: 'bytes', about: true }),
  });
  note(work, found);
  return found.witnessed;
}

function note(
  { searched, unsearched }: Work,
  { name, unit, count, bytes, unsearched: missed }: Awaited<ReturnType<typeof searchFiles>>,
): void {
  searched.push({ name, unit, count, bytes });
  unsearched.push(...missed);
}

const isThere = async (path: string): Promise<boolean> =>
  (await stat(path).catch(() => undefined)) !== undefined;
