import { setTimeout as sleep } from 'node:timers/promises';
/** What a server says of itself on its monitoring endpoint. */
export interface NatsServerReading {
  /** The server's name, never its address. */
  readonly server: string;
  readonly version: string;
  /** What its health endpoint complains of; undefined when it is well. */
  readonly illness: string | undefined;
  readonly storageBytes: number;
  readonly storageLimitBytes: number;
  /** Of the process. */
  readonly memoryBytes: number;
  /** Clients that could not keep up and were cut off, since the server started. */
  readonly slowConsumers: number;
  readonly cpuPercent: number;
  readonly syncAlways: boolean;
  /** Of the log's stream, as this server sees it; undefined where it holds none of it. */
  readonly log: LogReading | undefined;
}

export interface LogReading {
  /** The leader's name; undefined while there is none. */
  readonly leader: string | undefined;
  /** How many copies are up to date, the leader's included. */
  readonly current: number;
  readonly replicas: number;
}

/** Reads the monitoring endpoints again and again. */
export interface NatsMonitor {
  /** What the servers said last; one that does not answer is left out. Empty before the first look. */
  latest(): readonly NatsServerReading[];
  /** How many endpoints are known; 0 = nobody is asked. */
  readonly endpoints: number;
  stop(): void;
}

interface Varz {
  readonly server_name?: string;
  readonly version?: string;
  readonly mem?: number;
  readonly cpu?: number;
  readonly slow_consumers?: number;
}

interface StreamDetail {
  readonly name: string;
  readonly cluster?: {
    readonly leader?: string;
    readonly replicas?: readonly { readonly current?: boolean }[];
  };
}

interface Jsz {
  readonly storage?: number;
  readonly config?: { readonly max_storage?: number; readonly sync_always?: boolean };
  readonly account_details?: readonly { readonly stream_detail?: readonly StreamDetail[] }[];
}

const READ_TIMEOUT_MS = 1_500;
const EVERY_MS = 4_000;
const MIB = 1024 * 1024;

/** Looks at once, and then every `everyMs`. Without endpoints it does nothing. */
export function startNatsMonitor(options: {
  readonly urls: readonly string[];
  /** The log's. */
  readonly stream: string;
  readonly everyMs?: number;
}): NatsMonitor {
  const { urls, stream, everyMs = EVERY_MS } = options;
  let readings: readonly NatsServerReading[] = [];
  let illBefore: readonly string[] = [];
  let looking = false;
  const look = async (): Promise<void> => {
    if (looking) return;
    looking = true;
    const found = await Promise.all(urls.map((url) => readNatsServer(url, stream)));
    const next = found.filter((reading) => reading !== undefined);
    // A server that makes a stream, or follows another, may say so once.
    const wasIll = new Set(illBefore);
    illBefore = next.filter(({ illness }) => illness !== undefined).map(({ server }) => server);
    readings = next.map((reading) =>
      wasIll.has(reading.server) ? reading : { ...reading, illness: undefined },
    );
    looking = false;
  };
  if (urls.length === 0) return { latest: () => [], endpoints: 0, stop: () => undefined };
  void look();
  const timer = setInterval(() => void look(), everyMs);
  timer.unref();
  return { latest: () => readings, endpoints: urls.length, stop: () => clearInterval(timer) };
}

/** What one endpoint says; undefined when it does not answer. Never throws. */
export async function readNatsServer(url: string, stream: string): Promise<NatsServerReading | undefined> {
  const base = url.replace(/\/$/, '');
  try {
    const [varz, jsz, illness] = await Promise.all([
      readJson<Varz>(`${base}/varz`),
      readJson<Jsz>(`${base}/jsz?accounts=true&streams=true`),
      readIllness(base),
    ]);
    return {
      server: varz.server_name ?? 'nats',
      version: varz.version ?? '',
      illness,
      storageBytes: jsz.storage ?? 0,
      storageLimitBytes: jsz.config?.max_storage ?? 0,
      memoryBytes: varz.mem ?? 0,
      slowConsumers: varz.slow_consumers ?? 0,
      cpuPercent: varz.cpu ?? 0,
      syncAlways: jsz.config?.sync_always === true,
      log: logOf(jsz, stream),
    };
  } catch {
    return undefined;
  }
}

/**
 * What a server's health endpoint complains of: one sentence, or undefined when it is well.
 * @throws Error when it does not answer
 */
export async function readIllness(base: string, path = '/healthz'): Promise<string | undefined> {
  const response = await fetch(`${base}${path}`, { signal: AbortSignal.timeout(READ_TIMEOUT_MS) });
  const { error } = (await response.json().catch(() => ({}))) as { error?: unknown };
  if (response.ok) return undefined;
  return typeof error === 'string' && error !== '' ? error : `status ${response.status}`;
}

const SECOND_LOOK_MS = 500;

/**
 * What two looks say: right after a stream was dropped a server calls itself ill for a moment.
 * @param url of a monitoring endpoint @throws Error when it does not answer
 */
export async function lastingIllness(url: string): Promise<string | undefined> {
  const base = url.replace(/\/$/, '');
  if ((await readIllness(base)) === undefined) return undefined;
  await sleep(SECOND_LOOK_MS);
  return readIllness(base);
}

/** What a server says of a stream on its disk that it could not read back: its key is another, or it is damaged. */
export const UNREADABLE = /could not be recovered/;

/** What helps a server that is not well, for people. */
export const HEAL_SERVER =
  'mend what it says (no space left: make room; could not be recovered: set the cipher and key that it was written with), then restart that nats-server: a stream that could not write stays stopped until then';

async function readJson<T>(url: string): Promise<T> {
  const response = await fetch(url, { signal: AbortSignal.timeout(READ_TIMEOUT_MS) });
  return (await response.json()) as T;
}

function logOf({ account_details = [] }: Jsz, stream: string): LogReading | undefined {
  const details = account_details.flatMap(({ stream_detail = [] }) => stream_detail);
  const detail = details.find(({ name }) => name === stream);
  if (detail === undefined) return undefined;
  const { leader, replicas = [] } = detail.cluster ?? {};
  const others = replicas.filter(({ current }) => current === true).length;
  return {
    leader: leader === undefined || leader === '' ? undefined : leader,
    current: leader === undefined || leader === '' ? 0 : others + 1,
    replicas: replicas.length + 1,
  };
}

/** The log as its leader sees it, else as any server does; undefined when no server that answers holds it. */
export function logReading(readings: readonly NatsServerReading[]): LogReading | undefined {
  const seen = readings.filter(({ log }) => log !== undefined);
  const own = seen.find(({ server, log }) => log?.leader === server);
  return (own ?? seen.find(({ log }) => log?.leader !== undefined) ?? seen[0])?.log;
}

/** For readiness: what the servers say, in words; wrong when the log has no leader, or one that is not well. */
export function natsServerCheck(
  readings: readonly NatsServerReading[],
): { readonly ok: boolean; readonly detail: string } | undefined {
  if (readings.length === 0) return undefined;
  const log = logReading(readings);
  const servers = readings.map(
    ({ server, version, storageBytes, storageLimitBytes, memoryBytes, slowConsumers, syncAlways, illness }) =>
      `${server} ${version}${illness === undefined ? '' : ` unhealthy (${illness})`}, ${percentOf(storageBytes, storageLimitBytes)} of its storage used, ` +
      `${(memoryBytes / MIB).toFixed(0)} MiB of memory, ${slowConsumers} slow consumers, sync ${syncAlways ? 'always' : 'delayed'}`,
  );
  const leader =
    log === undefined
      ? 'log not seen'
      : `log led by ${log.leader ?? 'nobody'}, ${log.current} of ${log.replicas} copies current`;
  const ill = readings.find(({ server, illness }) => illness !== undefined && server === log?.leader);
  const cure = ill === undefined ? [] : [`nothing can be stored: ${HEAL_SERVER}`];
  return {
    ok: ill === undefined && (log === undefined || log.leader !== undefined),
    detail: [...cure, leader, ...servers].join('; '),
  };
}

function percentOf(part: number, whole: number): string {
  return whole <= 0 ? `${part} bytes` : `${((100 * part) / whole).toFixed(1)} %`;
}
