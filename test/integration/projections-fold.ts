import type { Message } from '@bufbuild/protobuf';
import type { Bucket } from '../../src/eventstore/bucket.ts';
import { codecOf } from '../../src/eventstore/codec/event-codec.ts';
import type { Log, RecordedCommit } from '../../src/eventstore/log.ts';
import { BEGINNING, numberOf } from '../../src/eventstore/position.ts';
import { type Buckets, createAliases } from '../../src/projections/engine/aliases.ts';
import { readCheckpoint } from '../../src/projections/engine/checkpoint.ts';
import { isRowKey, type Projection } from '../../src/projections/engine/projection.ts';

/** Rows by key, as plain data. */
export type Rows = ReadonlyMap<string, unknown>;

/** The whole log. */
export async function readAll(log: Log): Promise<RecordedCommit[]> {
  const all: RecordedCommit[] = [];
  for await (const { commits } of log.scan({ after: BEGINNING })) all.push(...commits);
  return all;
}

/** What a view must show: the plain fold of the log, with none of the engine's parts. */
export function plainFold(commits: readonly RecordedCommit[], projection: Projection): Rows {
  const rows = new Map<string, unknown>();
  for (const { event, context } of factsOf(commits, projection)) {
    const key = projection.keyOf(event, context);
    if (key !== undefined) rows.set(key, projection.evolve(rows.get(key), event, context));
  }
  for (const [key, row] of [...rows]) {
    let rest = row;
    for (let cut = projection.seal?.(key, rest); cut; cut = projection.seal?.(key, rest)) {
      rows.set(cut.key, cut.row);
      rest = cut.rest;
    }
    if (rest === undefined) rows.delete(key);
    else rows.set(key, rest);
  }
  return rows;
}

function* factsOf(commits: readonly RecordedCommit[], { sources }: Projection) {
  const codecs = new Map(sources.map((source) => [source.category, codecOf<Message>(source)]));
  for (const { stream, position, commitId, decisions } of commits) {
    const codec = codecs.get(stream.category);
    if (codec === undefined) continue;
    for (const { events, actor, traceparent, time } of decisions) {
      const context = { stream, position, commitId, actor, traceparent, time: Number(time) };
      for (const stored of events) yield { event: codec.decode(stored), context };
    }
  }
}

/** The bucket that holds the view now. */
export async function liveBucket(buckets: Buckets, prefix: string, view: string): Promise<Bucket> {
  const alias = (await createAliases(buckets, prefix).read(view))?.alias;
  const bucket = alias === undefined ? undefined : await buckets.open(alias.bucket);
  if (bucket === undefined) throw new Error(`the view ${view} has no bucket yet`);
  return bucket;
}

/** The position that every row of a bucket is promised to have seen. */
export async function promisedPosition(bucket: Bucket): Promise<number> {
  return numberOf((await readCheckpoint(bucket))?.position ?? BEGINNING);
}

/** The rows of a view's bucket. */
export async function readRows(bucket: Bucket): Promise<Rows> {
  const rows = new Map<string, unknown>();
  for await (const { key, value } of bucket.rows()) {
    if (isRowKey(key)) rows.set(key, JSON.parse(Buffer.from(value).toString('utf8')));
  }
  return rows;
}

/** The keys whose rows are not the same; empty when all are. */
export function differingKeys(a: Rows, b: Rows): string[] {
  const shown = (rows: Rows, key: string) => JSON.stringify(sortedFields(rows.get(key)));
  return [...new Set([...a.keys(), ...b.keys()])].filter((key) => shown(a, key) !== shown(b, key)).sort();
}

function sortedFields(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortedFields);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, inner]) => [key, sortedFields(inner)]));
}
