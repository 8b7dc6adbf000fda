import type { RecordedCommit } from '../log.ts';
import { recordedCommit } from '../recorded-commit.ts';
import type { OutgoingCommit } from '../resolve-append.ts';
import { keyOf, type StreamRef, subjectOf } from '../stream.ts';
import { createWake, type Wake } from './wake.ts';

/** What a server would hold: the bytes of every commit, shared by all the handles ("processes") that open it. */
export interface MemoryStore {
  readonly incarnation: string;
  /** Position of the newest commit; 0 for an empty log. */
  head(): number;
  /** The aggregate's last version; 0 = it does not exist. */
  version(stream: StreamRef): number;
  /** Stores bytes when the aggregate's version is `expected`. Returns the position, or `undefined` on a conflict. */
  put(stream: StreamRef, expected: number, bytes: Uint8Array, commitId?: string): number | undefined;
  /** Stores one commit each, all or none. Returns the position of the first, or `undefined` on a conflict. */
  putAll(entries: readonly OutgoingCommit[]): number | undefined;
  /** The commit at a position, still undecoded. */
  at(position: number): RecordedCommit | undefined;
  /** Up to `limit` commits of an aggregate with a version above `after` and up to `until`. */
  ofStream(stream: StreamRef, after: number, until: number, limit: number): RecordedCommit[];
  /** Fires at every commit. */
  readonly grown: Wake;
}

interface Entry {
  readonly stream: StreamRef;
  readonly position: number;
  readonly previous: number;
  readonly bytes: Uint8Array;
  readonly commitId: string | undefined;
}

export interface MemoryStoreOptions {
  /** First token of every subject; no dots. */
  readonly prefix?: string;
  readonly incarnation?: string;
}

/** An empty log in memory. */
export function createMemoryStore(options: MemoryStoreOptions = {}): MemoryStore {
  const { prefix = 'memory', incarnation = 'memory-1' } = options;
  const entries: Entry[] = [];
  const streams = new Map<string, Entry[]>();
  const grown = createWake();

  const history = (stream: StreamRef): readonly Entry[] => streams.get(keyOf(stream)) ?? [];
  const version = (stream: StreamRef): number => history(stream).at(-1)?.position ?? 0;
  // A new object for each reader: nobody may profit from what another has decoded.
  const recorded = ({ stream, ...entry }: Entry): RecordedCommit =>
    recordedCommit({ ...entry, subject: subjectOf(prefix, stream) });

  const put: MemoryStore['put'] = (stream, expected, bytes, commitId) => {
    const previous = version(stream);
    if (previous !== expected) return undefined;
    const entry = { stream, position: entries.length + 1, previous, bytes, commitId };
    entries.push(entry);
    const own = streams.get(keyOf(stream));
    if (own === undefined) streams.set(keyOf(stream), [entry]);
    else own.push(entry);
    grown.all();
    return entry.position;
  };

  return {
    incarnation,
    grown,
    version,
    head: () => entries.length,
    putAll: (outgoing) => {
      if (outgoing.some(({ stream, expected }) => version(stream) !== expected)) return undefined;
      const positions = outgoing.map(({ stream, expected, bytes, commit }) =>
        put(stream, expected, bytes, commit.commitId),
      );
      return positions[0];
    },
    put,
    at: (position) => {
      const entry = entries[position - 1];
      return entry === undefined ? undefined : recorded(entry);
    },
    ofStream: (stream, after, until, limit) => {
      const own = history(stream);
      const page: RecordedCommit[] = [];
      for (let i = firstAfter(own, after); i < own.length && page.length < limit; i++) {
        const entry = own[i];
        if (entry === undefined || entry.position > until) break;
        page.push(recorded(entry));
      }
      return page;
    },
  };
}

/** Index of the first entry behind a version, by halving. */
function firstAfter(entries: readonly Entry[], version: number): number {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((entries[middle]?.position ?? 0) > version) high = middle;
    else low = middle + 1;
  }
  return low;
}
