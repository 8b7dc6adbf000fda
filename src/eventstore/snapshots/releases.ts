import { createHash } from 'node:crypto';
import type { Bucket } from '../bucket.ts';
import type { AnyDecider } from '../decider.ts';
import { foldVersionOf } from '../fold.ts';

/** How a release stands with its snapshots: all instances that fold alike, on one incarnation of the log, are one. */
export interface Release {
  /** Its folds by category. */
  readonly folds: Readonly<Record<string, string>>;
  /** When its first instance came, and when one last gave a sign; in milliseconds since the Unix epoch. */
  readonly since: number;
  readonly at: number;
  /** Which instance makes the snapshots anew. */
  readonly owner: string;
  /** Another number at each sign, by which others see that it lives. */
  readonly beat: number;
  /** Snapshots of other folds with revisions above `floor` and below `next` are still to be looked at, the newest first. */
  readonly floor: number;
  readonly next: number;
  /** Up to which revision this pass goes. */
  readonly top: number;
  /** How many were made anew. */
  readonly remade: number;
  /** When nothing was left to do. */
  readonly endedAt?: number;
  /** What other folds there were, as `<category>.<fold>`. */
  readonly former: readonly string[];
}

/** Every release that was seen lately, by its id. */
export type Releases = Readonly<Record<string, Release>>;

/** Where releases are kept: one row of the snapshots' own bucket. A cache like the rest: lost, it is begun again. */
export const RELEASES_KEY = 'releases';

/** @returns the releases, and the revision that the next write must expect @throws LogUnavailable */
export async function readReleases(
  bucket: Pick<Bucket, 'get'>,
): Promise<{ readonly releases: Releases; readonly revision: number }> {
  const row = await bucket.get(RELEASES_KEY, { leader: true });
  if (row === undefined || row.value.length === 0) return { releases: {}, revision: row?.revision ?? 0 };
  return { releases: JSON.parse(Buffer.from(row.value).toString()) as Releases, revision: row.revision };
}

/** Writes them, unless somebody else was first. @returns whether they are written @throws LogUnavailable, OutcomeUnknown */
export async function writeReleases(
  bucket: Pick<Bucket, 'write'>,
  releases: Releases,
  expectedRevision: number,
): Promise<boolean> {
  const value = Buffer.from(JSON.stringify(releases));
  return (await bucket.write({ key: RELEASES_KEY, value, expectedRevision })).written;
}

/** The folds of these deciders, by category. */
export function foldsOf(deciders: readonly AnyDecider[]): Record<string, string> {
  return Object.fromEntries(deciders.map((each) => [each.category, foldVersionOf(each)]));
}

/** Names a release by what its snapshots depend on. */
export function releaseId(incarnation: string, folds: Readonly<Record<string, string>>): string {
  const named = Object.entries(folds).sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash('sha256')
    .update(`${incarnation}\n${JSON.stringify(named)}`)
    .digest('hex')
    .slice(0, 12);
}

/** The folds, as `<category>.<fold>`, that a release has seen and that no other with a sign since `from` still uses. */
export function unusedFolds(releases: Releases, id: string, from: number): string[] {
  const used = new Set<string>();
  for (const [other, { folds, at }] of Object.entries(releases)) {
    if (other !== id && at < from) continue;
    for (const [category, fold] of Object.entries(folds)) used.add(`${category}.${fold}`);
  }
  return (releases[id]?.former ?? []).filter((each) => !used.has(each));
}

/** The releases without what was dropped: one that comes back has to make its snapshots anew. */
export function withoutFolds(releases: Releases, id: string, dropped: readonly string[]): Releases {
  const lost = (folds: Release['folds']) =>
    Object.entries(folds).some(([category, fold]) => dropped.includes(`${category}.${fold}`));
  const kept = Object.entries(releases).filter(([, { folds }]) => !lost(folds));
  const own = releases[id];
  if (own === undefined) return Object.fromEntries(kept);
  const former = own.former.filter((each) => !dropped.includes(each));
  return { ...Object.fromEntries(kept), [id]: { ...own, former } };
}
