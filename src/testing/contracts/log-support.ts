import type { AppendResult, Log, RecordedCommit, ScanOptions } from '../../eventstore/log.ts';
import { positionOfVersion, versionAt } from '../../eventstore/position.ts';
import type { Control, StreamRef } from '../../eventstore/stream.ts';
import { added, toyCommit } from './toy.ts';

/** A fresh, empty log to test, and the way to open it as another process would. */
export interface LogUnderTest {
  readonly log: Log;
  openSecond(): Promise<Log>;
  /** Stores a message of the log's own; returns its position. */
  putControl(control: Control): Promise<number>;
  /** Stores bytes on an aggregate's subject, as somebody who is not of the service would. Returns the position. */
  intrude(stream: StreamRef, bytes: Uint8Array): Promise<number>;
  stop(): Promise<void>;
}

/** Appends `count` commits to a new aggregate, one after the other; returns their versions. */
export async function appendMany(log: Log, stream: StreamRef, count: number): Promise<number[]> {
  const versions: number[] = [];
  for (let i = 1; i <= count; i++) {
    const commit = toyCommit(`${stream.id}-${i}`, [added(i)]);
    versions.push(versionOf(await log.append(stream, versions.at(-1) ?? 0, commit)));
  }
  return versions;
}

/** The version of an append that must have gone through. */
export function versionOf(result: AppendResult): number {
  if (!result.appended) throw new Error('an append that should go through met a conflict');
  return result.version;
}

/** Everything of an aggregate behind a version, page by page, up to the confirmed end. */
export async function history(log: Log, stream: StreamRef, after = 0): Promise<RecordedCommit[]> {
  const commits: RecordedCommit[] = [];
  for (;;) {
    const page = await log.read(stream, {
      after: versionAt(commits.at(-1)?.position ?? positionOfVersion(after)),
      confirm: true,
    });
    commits.push(...page.commits);
    if (page.confirmedEnd) return commits;
    if (page.commits.length === 0) throw new Error('an empty page that confirms no end');
  }
}

/** All that an iteration yields. */
export async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

/** Every commit that a scan which does not follow yields. */
export async function scanAll(log: Log, options: ScanOptions): Promise<RecordedCommit[]> {
  const commits: RecordedCommit[] = [];
  for await (const batch of log.scan(options)) commits.push(...batch.commits);
  return commits;
}
