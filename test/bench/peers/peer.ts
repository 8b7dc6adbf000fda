import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { startPostgres } from './postgres.ts';

interface PeerEvent {
  readonly type: string;
  readonly data: unknown;
}

interface TallyEvent extends PeerEvent {
  readonly type: 'Added';
  readonly data: { readonly value: number };
}

/** emmett's event store, as much of it as is used here. */
export interface PeerStore {
  appendToStream(
    id: string,
    events: readonly PeerEvent[],
    options?: { readonly expectedStreamVersion: 'STREAM_DOES_NOT_EXIST' },
  ): Promise<unknown>;
  close(): Promise<void>;
}

type PeerHandle = (
  store: PeerStore,
  id: string,
  decide: (sum: number) => readonly TallyEvent[],
) => Promise<unknown>;

interface Emmett {
  CommandHandler(options: {
    readonly evolve: (sum: number, event: TallyEvent) => number;
    readonly initialState: () => number;
  }): PeerHandle;
}

interface EmmettPostgres {
  getPostgreSQLEventStore(url: string): PeerStore & { schema: { migrate(): Promise<unknown> } };
}

/** The same small aggregate on emmett and PostgreSQL: what people would use instead. */
export interface Peer extends AsyncDisposable {
  /** Makes an aggregate with so many events. */
  fill(id: string, events: number): Promise<void>;
  /** One command through emmett's CommandHandler: reads the aggregate, folds it, appends with its version. */
  execute(id: string, events: number): Promise<void>;
  /** Names and versions. */
  readonly what: string;
  /** Of the process whose descendants its server is. */
  readonly pid: number;
}

const FOLDER = fileURLToPath(new URL('.', import.meta.url));
const PACKAGE = '@event-driven-io/emmett-postgresql';
/** Events in one append while an aggregate is filled. */
const FILL = 500;

/** A PostgreSQL for emmett. */
export interface PeerDatabase extends AsyncDisposable {
  readonly url: string;
  /** Names and versions. */
  readonly what: string;
  /** Of the process whose descendants the server is. */
  readonly pid: number;
}

/** Installs emmett beside this file if it is not there, and starts a PostgreSQL that syncs as the other side does. */
export async function startPeerDatabase(syncs: boolean): Promise<PeerDatabase> {
  install();
  const postgres = await startPostgres(syncs);
  const mode = `synchronous_commit ${syncs ? 'on' : 'off'}`;
  const what = `${PACKAGE} ${versionOf(PACKAGE)} on ${postgres.version}, ${mode}`;
  return {
    url: postgres.url,
    what,
    pid: postgres.pid,
    [Symbol.asyncDispose]: () => postgres[Symbol.asyncDispose](),
  };
}

/** emmett on a database, its tables made. */
export async function openEmmett(url: string): Promise<PeerStore> {
  const { getPostgreSQLEventStore } = (await load(PACKAGE)) as EmmettPostgres;
  const store = getPostgreSQLEventStore(url);
  await store.schema.migrate();
  return store;
}

/** Starts PostgreSQL, and opens emmett on it. */
export async function startPeer(syncs: boolean): Promise<Peer> {
  const postgres = await startPeerDatabase(syncs);
  const { CommandHandler } = (await load('@event-driven-io/emmett')) as Emmett;
  const store = await openEmmett(postgres.url);
  const handle = CommandHandler({ evolve: (sum, event) => sum + event.data.value, initialState: () => 0 });
  const added = (count: number): TallyEvent[] =>
    Array.from({ length: count }, () => ({ type: 'Added', data: { value: 1 } }));
  return {
    what: postgres.what,
    pid: postgres.pid,
    fill: async (id, events) => {
      for (let left = events; left > 0; left -= FILL)
        await store.appendToStream(id, added(Math.min(left, FILL)));
    },
    execute: async (id, events) => {
      await handle(store, id, () => added(events));
    },
    [Symbol.asyncDispose]: async () => {
      process.on('uncaughtException', ignoreShutdown);
      await store.close();
      await postgres[Symbol.asyncDispose]();
    },
  };
}

/** PostgreSQL's word for its own end, which a connection that emmett leaves open raises where nobody can catch it. */
function ignoreShutdown(error: Error & { readonly code?: unknown }): void {
  if (error.code !== '57P01') throw error;
}

function install(): void {
  if (existsSync(join(FOLDER, 'node_modules', PACKAGE))) return;
  console.log('  installing what is compared with (once), in test/bench/peers');
  const npm = spawnSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: FOLDER,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (npm.status !== 0)
    throw new Error('npm ci in test/bench/peers failed: leave out --peers, or look above.');
}

/** By its file, since nothing outside this folder may depend on it. */
function load(name: string): Promise<unknown> {
  return import(pathToFileURL(join(FOLDER, 'node_modules', name, 'dist/index.js')).href);
}

function versionOf(name: string): string {
  const text = readFileSync(join(FOLDER, 'node_modules', name, 'package.json'), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
