import { randomUUID } from 'node:crypto';
import {
  addStream,
  createNatsBuckets,
  EventStoreError,
  ensureBucket,
  INCARNATION_KEY,
  logStreamConfig,
  managerOf,
  type Requests,
  readLogConfig,
  systemRuntime,
} from '../eventstore/index.ts';
import { NatsUnusable } from '../platform/nats-connection.ts';
import { objectionToNewLog } from '../platform/new-log.ts';
import { commandBuckets, type KernelBucket, viewBuckets } from './buckets.ts';
import { openServer, type Server } from './server.ts';
import {
  type AllLedgerSettings,
  type LedgerNats,
  type LedgerSettings,
  ledgerSettings,
  serverSettings,
} from './settings.ts';

/** What makes a ledger's streams and buckets. */
export interface MakeLedgerOptions {
  readonly nats: LedgerNats;
  /** First token of every subject, and first part of the names of buckets; for ever once there are events. */
  readonly prefix: string;
  readonly settings?: LedgerSettings;
}

/**
 * Makes what a ledger needs on its server and is not there yet: the log and the buckets; what is there stays as it is.
 * In production it is called once, as a NATS user who may; in development `openLedger` does it by itself.
 * @throws NatsUnusable, RangeError, and the server's reason when it refuses
 */
export async function makeLedger({ nats, prefix, settings = {} }: MakeLedgerOptions): Promise<void> {
  const whole = ledgerSettings(prefix, settings);
  const server = await connectLedger(nats, { ...whole, production: false });
  try {
    await makeMissing(server, whole, serverSettings(nats).requestTimeoutMs);
  } finally {
    await server.close();
  }
}

/** The server of a ledger. @throws NatsUnusable, NatsServerError: one line that says what to do */
export async function connectLedger(
  nats: LedgerNats,
  { name, production, log }: Pick<AllLedgerSettings, 'name' | 'production' | 'log'>,
): Promise<Server> {
  const settings = serverSettings(nats);
  if (production && settings.url === '') {
    throw new EventStoreError(
      'ledger/no-server',
      'nats.url is missing: production uses a NATS server of its own. Set it, or settings.production to false.',
    );
  }
  return openServer(settings, { name, production, syncAlways: log.durability !== 'none', mode: 'own' });
}

/** How a ledger is made, as a sentence for the error that something of it is missing. */
export function howToMake({ log }: AllLedgerSettings): string {
  const options = `{ nats: { url: 'nats://...' }, prefix: '${log.prefix}' }`;
  const command = `node -e "import('jetledger').then((j) => j.makeLedger(${options}))"`;
  return `Make it once, as a NATS user who may and with the same settings: ${command}`;
}

const bucketsOf = (settings: AllLedgerSettings): readonly KernelBucket[] => [
  ...commandBuckets(settings),
  ...viewBuckets(settings),
];

/**
 * Makes what is missing. Several processes may do so at once.
 * @throws NatsUnusable where a log may be there that the server only cannot read
 */
export async function makeMissing(
  server: Pick<Server, 'requests' | 'monitorUrls'>,
  settings: AllLedgerSettings,
  requestTimeoutMs: number,
): Promise<void> {
  const { requests } = server;
  const jsm = await managerOf(requests, requestTimeoutMs);
  const { log } = settings;
  const isThere = async () =>
    (await readLogConfig({ requests, stream: log.stream, attemptTimeoutMs: requestTimeoutMs })) !== undefined;
  if (!(await isThere())) {
    await guardNewLog(server, settings, requestTimeoutMs);
    const metadata = { [INCARNATION_KEY]: randomUUID() };
    await addStream(jsm, logStreamConfig(log, metadata)).catch(async (error: unknown) => {
      // Another process was faster, and its incarnation counts.
      if (!(await isThere())) throw error;
    });
  }
  for (const { name, kind } of bucketsOf(settings)) await ensureBucket(jsm, name, kind);
}

/** Where no monitoring is named, whoever opens a ledger vouches that there is no log that cannot be read. */
async function guardNewLog(
  { requests, monitorUrls }: Pick<Server, 'requests' | 'monitorUrls'>,
  { log }: AllLedgerSettings,
  timeoutMs: number,
): Promise<void> {
  const { connection } = requests;
  const jsm = await managerOf(requests, timeoutMs);
  const left: string[] = [];
  for await (const name of jsm.streams.names()) if (name.startsWith(`KV_${log.prefix}_`)) left.push(name);
  const known = { connection, stream: log.stream, left, monitorUrls, isNew: true };
  const objection = await objectionToNewLog(known);
  if (objection !== undefined) throw new NatsUnusable(`The log ${log.stream} is not made: ${objection}.`);
}

/**
 * Looks whether the buckets of a ledger are there. The log is looked at where it is opened.
 * @throws EventStoreError `ledger/incomplete` with the command that makes them; PermissionDenied, LogUnavailable
 */
export async function checkBuckets(
  requests: Requests,
  settings: AllLedgerSettings,
  timeoutMs: number,
): Promise<void> {
  const { replicas } = settings.log;
  const buckets = createNatsBuckets({
    requests,
    runtime: systemRuntime,
    replicas,
    timeoutMs,
    announceLosses: false,
  });
  for (const { name } of bucketsOf(settings)) {
    if ((await buckets.open(name)) !== undefined) continue;
    const missing = `The server has no bucket ${name}.`;
    throw new EventStoreError('ledger/incomplete', `${missing} ${howToMake(settings)}`);
  }
}
