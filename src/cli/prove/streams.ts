import { createGets, LogUnavailable, managerOf, type Requests, reasonOf } from '../../eventstore/index.ts';
import { checkInterrupted, type OnBytes } from '../../platform/backup/manifest.ts';
import type { Search } from './search.ts';

/** What was searched, for people. */
export interface Searched {
  /** A stream, a folder, a file or an address. */
  readonly name: string;
  /** What is counted, for example `messages`. */
  readonly unit: string;
  readonly count: number;
  readonly bytes: number;
}

/** What a search of streams came to. */
export interface SearchedStreams {
  readonly searched: readonly Searched[];
  readonly unsearched: readonly string[];
  /** The names of the servers that keep them; none where there is only one. */
  readonly servers: ReadonlySet<string>;
}

export interface StreamsOptions {
  readonly search: Search;
  /** Of each request, in milliseconds. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  readonly onMessages: (stream: string, ...messages: Parameters<OnBytes>) => void;
}

const BATCH = 256;
const BATCH_BYTES = 4 * 1024 * 1024;

/**
 * Looks through every message of every stream that these requests reach, buckets among them: subject, headers, content;
 * and through how the streams are configured.
 * @throws BackupError once the signal has fired; LogUnavailable when the streams cannot be listed
 */
export async function searchStreams(requests: Requests, options: StreamsOptions): Promise<SearchedStreams> {
  const jsm = await managerOf(requests);
  const searched: Searched[] = [];
  const unsearched: string[] = [];
  const servers = new Set<string>();
  for await (const name of jsm.streams.names()) {
    checkInterrupted(options.signal);
    try {
      const { config, state, cluster } = await jsm.streams.info(name);
      for (const { name: server } of cluster?.replicas ?? []) servers.add(server);
      if (cluster?.leader) servers.add(cluster.leader);
      options.search.enter(() => `the configuration of ${name}`).look(Buffer.from(JSON.stringify(config)));
      searched.push(
        await searchStream(requests, { name, isDirect: config.allow_direct === true, ...state }, options),
      );
      if ((config.compression ?? 'none') !== 'none')
        unsearched.push(
          `the files of ${name}, which the server compresses: what stands there twice may be missed`,
        );
    } catch (error) {
      checkInterrupted(options.signal);
      unsearched.push(`the stream ${name}: ${reasonOf(error)}`);
    }
  }
  return { searched, unsearched, servers };
}

interface Stream {
  readonly name: string;
  /** Whether every copy answers; otherwise the leader does, message by message. */
  readonly isDirect: boolean;
  readonly messages: number;
  readonly last_seq: number;
}

async function searchStream(
  requests: Requests,
  { name, isDirect, messages, last_seq: last }: Stream,
  { search, timeoutMs, signal, onMessages }: StreamsOptions,
): Promise<Searched> {
  const gets = createGets(requests, name, timeoutMs);
  const before = search.bytes;
  let count = 0;
  for (let seq = 1; messages > 0 && seq <= last; ) {
    checkInterrupted(signal);
    const query = { next_by_subj: '>', seq };
    const batch = isDirect ? await gets.directBatch({ ...query, batch: BATCH, max_bytes: BATCH_BYTES }) : [];
    // What a copy does not show may be behind; the leader knows whether there is more.
    const next = batch.length === 0 ? await gets.leader(query) : undefined;
    const read = next === undefined ? batch : [next];
    for (const { subject, seq: at, headers, data } of read) {
      const lines = [...(headers ?? [])].map(([header, texts]) => `${header}: ${texts.join(', ')}`);
      const head = search.enter(() => `the headers or subject of message ${at} of ${name}`);
      head.look(Buffer.from([subject, ...lines].join('\n')));
      search.enter(() => `message ${at} of ${name}`).look(data);
    }
    const end = read.at(-1)?.seq;
    if (end === undefined) break;
    if (end < seq) throw new LogUnavailable(`reading ${name}: message ${end} came for ${seq}`);
    count += read.length;
    seq = end + 1;
    onMessages(name, count, messages);
  }
  return { name, unit: 'messages', count, bytes: search.bytes - before };
}
