import type { HandlerSettings, SnapshotSettings } from '../eventstore/index.ts';
import { readEnvironment } from '../platform/config/environment.ts';
import type { EngineSettings } from '../processes/engine/index.ts';
import type { ProjectionSettings, SqliteIndexesOptions } from '../projections/engine/index.ts';
import type { LogSettings } from './log.ts';
import type { ServerSettings } from './server.ts';

/** How a ledger runs; what is left out has the default of a service of ordinary size. Times in milliseconds. */
export interface LedgerSettings {
  /** The name that NATS and other instances see; `jetledger` unless given. */
  readonly name?: string;
  /**
   * Whether the rules of production hold: nothing is made, and what could lose history or lets everybody in is refused.
   * Unless given: whether the variable `NODE_ENV` is `production`.
   */
  readonly production?: boolean;
  /** The stream's name is the prefix unless given. */
  readonly log?: Partial<Omit<LogSettings, 'prefix'>>;
  readonly commands?: Partial<HandlerSettings> & { readonly groupCommit?: 'auto' | 'off' };
  /** Whose word a confirmed read takes on a cluster: `quorum` unless given. */
  readonly reads?: { readonly confirm?: 'leader' | 'quorum' };
  readonly snapshots?: Partial<SnapshotSettings> & {
    readonly enabled?: boolean;
    readonly maxMegabytes?: number;
    /** Snapshots of a former fold that are made anew per second; 0 = as commands meet them. */
    readonly remakePerSecond?: number;
  };
  readonly projections?: Partial<ProjectionSettings> & {
    /** Whether instances divide the groups of views among themselves. */
    readonly shared?: boolean;
    /** Whether views are kept in this process; otherwise they are only read here. */
    readonly keep?: boolean;
  };
  /** Where what lists are made of is kept; in memory, made anew at each start, unless given. */
  readonly lists?: Partial<SqliteIndexesOptions>;
  readonly processes?: Partial<EngineSettings>;
  /** Whether keys of persons are kept; unless given, whether `openLedger` is given `personal`. */
  readonly personal?: boolean;
}

/** Which NATS a ledger uses: see `ServerSettings`. Without `url` an embedded server is started. */
export type LedgerNats = Partial<Omit<ServerSettings, 'embedded' | 'tls'>> & {
  readonly embedded?: Partial<ServerSettings['embedded']>;
  readonly tls?: Partial<ServerSettings['tls']>;
};

const PREFIX = /^[A-Za-z0-9_-]{1,32}$/;

/** The settings of a server with every default in its place. */
export function serverSettings(nats: LedgerNats): ServerSettings {
  return {
    url: '',
    connectTimeoutMs: 5_000,
    requestTimeoutMs: 1_500,
    inboxPrefix: '_INBOX',
    apiPrefix: '$JS.API',
    monitorUrls: '',
    credsFile: '',
    nkeySeedFile: '',
    token: '',
    user: '',
    password: '',
    allowInsecure: false,
    ...nats,
    tls: { caFile: '', certFile: '', keyFile: '', ...nats.tls },
    embedded: { dataDir: '.jetledger', port: -1, binary: '', ...nats.embedded },
  };
}

/** The settings of a ledger with every default in its place. @throws RangeError for a prefix that is no token */
export function ledgerSettings(prefix: string, given: LedgerSettings) {
  if (!PREFIX.test(prefix)) {
    const found = JSON.stringify(prefix.slice(0, 64));
    throw new RangeError(`prefix: ${found} is not allowed. Take 1 to 32 letters, digits, - or _.`);
  }
  return {
    name: given.name ?? 'jetledger',
    production: given.production ?? readEnvironment().NODE_ENV === 'production',
    log: {
      stream: prefix,
      replicas: 1,
      durability: 'always' as const,
      assertSyncAlways: false,
      ...given.log,
      prefix,
    },
    commands: { groupCommit: 'auto' as const, ...given.commands },
    confirm: given.reads?.confirm ?? 'quorum',
    snapshots: { enabled: true, maxMegabytes: 1_024, remakePerSecond: 200, ...given.snapshots },
    projections: { shared: false, keep: true, ...given.projections, prefix },
    lists: { dir: '', ...given.lists },
    processes: { ...given.processes, prefix },
    personal: given.personal ?? false,
  };
}

/** What `ledgerSettings` answers. */
export type AllLedgerSettings = ReturnType<typeof ledgerSettings>;
