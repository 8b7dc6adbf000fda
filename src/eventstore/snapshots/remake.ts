import type { Bucket } from '../bucket.ts';
import type { AnyDecider, Decider } from '../decider.ts';
import { isDamage, UnknownEventType } from '../errors.ts';
import { foldVersionOf } from '../fold.ts';
import type { Log } from '../log.ts';
import type { Runtime } from '../runtime.ts';
import {
  foldsOf,
  type Release,
  type Releases,
  readReleases,
  releaseId,
  unusedFolds,
  withoutFolds,
  writeReleases,
} from './releases.ts';
import { createSnapshots, defaultSnapshotSettings } from './snapshots.ts';
import { type SnapshotStore, snapshotKey } from './stored.ts';

/** What is in the store, in the order in which it was written. @throws LogUnavailable, PermissionDenied */
export interface SnapshotArchive {
  /** The revision of the newest value. */
  end(): Promise<number>;
  /** The keys whose values have revisions above `after` and up to `through`, oldest first. */
  keys(
    after: number,
    through: number,
  ): Promise<readonly { readonly key: string; readonly revision: number }[]>;
  /** Which of up to 1,000 keys have a value. */
  held(keys: readonly string[]): Promise<ReadonlySet<string>>;
  /** Drops all values whose keys begin with these tokens. */
  drop(tokens: string): Promise<void>;
  /** Rows of the same store, fenced. */
  readonly rows: Pick<Bucket, 'get' | 'write'>;
}

export interface RemakeSettings {
  /** How many aggregates are folded per second at the most. */
  readonly perSecond: number;
  /** An owner that gave no sign for so long has its work taken over; in milliseconds. */
  readonly leaseMs: number;
  /** For how long after the end former snapshots stay, and a release without a sign counts as used; in milliseconds. */
  readonly keepMs: number;
  /** As in `SnapshotSettings`. */
  readonly fewestCommands: number;
}

/** What a service of ordinary size starts with. */
export const defaultRemakeSettings: RemakeSettings = {
  perSecond: 200,
  leaseMs: 15_000,
  keepMs: 24 * 3_600_000,
  fewestCommands: defaultSnapshotSettings.fewestCommands,
};

/** Told how it goes. */
export interface RemakeObserver {
  /** This process makes the snapshots of its release anew from now on. */
  owns?(release: Release): void;
  /** So many more were made anew. */
  remade?(count: number): void;
  /** Nothing is left to do. */
  ended?(release: Release): void;
  /** Snapshots of these former folds were dropped. */
  dropped?(folds: readonly string[]): void;
  /** A turn has failed and is tried again. */
  failed?(error: unknown): void;
}

export interface RemakeDeps {
  readonly deciders: readonly AnyDecider[];
  readonly store: SnapshotStore;
  readonly archive: SnapshotArchive;
  readonly log: Log;
  readonly runtime: Runtime;
  readonly settings?: Partial<RemakeSettings>;
  readonly observer?: RemakeObserver;
}

/** Makes snapshots anew for as long as it runs (protocol 25). */
export interface Remake {
  /** Ends after what is under way; others may go on at once. Never throws. */
  stop(): Promise<void>;
}

/** Begins at once, and goes on in the background. */
export function startRemake(deps: RemakeDeps): Remake {
  const { runtime } = deps;
  const settings = { ...defaultRemakeSettings, ...deps.settings };
  let stopped = false;
  let wake: () => void = () => undefined;
  const woken = new Promise<void>((resolve) => {
    wake = resolve;
  });
  const turns = createTurns({ ...deps, settings }, () => stopped);

  async function run(): Promise<void> {
    while (!stopped) {
      const worked = await turns.turn().catch((error: unknown) => {
        deps.observer?.failed?.(error);
        return false;
      });
      if (!worked) await Promise.race([runtime.sleep(settings.leaseMs / 3), woken]);
    }
    await turns.leave().catch(() => undefined);
  }
  const running = run();
  return {
    stop: async () => {
      stopped = true;
      wake();
      await running;
    },
  };
}

/** A turn works for about so long, and then tells how far it is; at least three times within the lease. */
const LONGEST_TURN_MS = 1_000;
/** How many revisions are looked at in one go: where keys were written often, few of them have a value. */
const [NARROWEST, WIDEST] = [512, 65_536];
/** Snapshots whose successors are looked up in one request; fewer where a turn cannot make so many. */
const LOOKED_UP = 32;
/** Between two looks at the store, in milliseconds: others read there, too. */
const LOOK_PAUSE_MS = 20;
/** Former folds are dropped a day later or so; whether it is time is asked this often within it. */
const LOOKS_PER_KEEPING = 24;

type Settled = Omit<RemakeDeps, 'settings'> & { readonly settings: RemakeSettings };
type AnyFolding = Decider<unknown, never, never, never>;

/** Revisions that are being looked at, oldest first; those from `next` on are done. */
interface Window {
  next: number;
  readonly after: number;
  readonly entries: { readonly key: string; readonly revision: number }[];
}

function createTurns(deps: Settled, isStopped: () => boolean) {
  const { deciders, store, archive, log, runtime, settings, observer } = deps;
  const me = runtime.id();
  const id = releaseId(log.incarnation, foldsOf(deciders));
  const turnMs = Math.min(LONGEST_TURN_MS, settings.leaseMs / 3);
  const atATime = Math.max(1, Math.min(LOOKED_UP, Math.floor((settings.perSecond * turnMs) / 1_000)));
  const byCategory = new Map(deciders.map((each) => [each.category, each]));
  const snapshots = createSnapshots({ store, log, runtime, settings, onWrong: () => undefined });
  const seen = new Map<string, { readonly sign: string; readonly since: number }>();
  let window: Window | undefined;
  let width = NARROWEST;
  /** What has come of the last turn; told with the next sign. */
  let news: Partial<Release> = {};
  let owns = false;
  let lookedAt = Number.NEGATIVE_INFINITY;

  /** Nobody's clock is compared with another's: an owner lives while its signs change. */
  function isAlive(name: string, { owner, beat }: Release): boolean {
    if (owner === '') return false;
    const sign = `${owner} ${beat}`;
    const known = seen.get(name);
    if (known?.sign === sign) return runtime.now() - known.since < settings.leaseMs;
    seen.set(name, { sign, since: runtime.now() });
    return true;
  }

  async function first(): Promise<Release> {
    const [now, top] = [runtime.now(), await archive.end()];
    const begun = {
      folds: foldsOf(deciders),
      since: now,
      at: now,
      owner: me,
      beat: 0,
      remade: 0,
      former: [],
    };
    return { ...begun, floor: 0, top, next: top + 1 };
  }

  /** Gives a sign as the owner, with what is new. @returns nothing when another owns, or was faster */
  async function lead(): Promise<{ mine: Release; releases: Releases; revision: number } | undefined> {
    const read = await readReleases(archive.rows);
    const known = read.releases[id];
    const isMine = known?.owner === me;
    if (known !== undefined && !isMine && isAlive(id, known)) return lose();
    if (!isMine) news = {};
    const told = { ...(known ?? (await first())), ...news };
    const mine = { ...told, owner: me, at: runtime.now(), beat: told.beat + 1 };
    const releases = { ...read.releases, [id]: mine };
    if (!(await writeReleases(archive.rows, releases, read.revision))) return undefined;
    news = {};
    if (!owns && mine.endedAt === undefined) observer?.owns?.(mine);
    owns = true;
    return { mine, releases, revision: read.revision };
  }

  function lose(): undefined {
    [owns, window, news] = [false, undefined, {}];
  }

  /** The aggregate of a snapshot of another fold of ours. */
  function formerOf(key: string): { decider: AnyDecider; id: string; fold: string } | undefined {
    const [category = '', fold = '', name, ...more] = key.split('.');
    const decider = byCategory.get(category);
    if (decider === undefined || name === undefined || more.length > 0) return undefined;
    return fold === foldVersionOf(decider) ? undefined : { decider, id: name, fold: `${category}.${fold}` };
  }

  async function look({ floor, next }: Release): Promise<Window> {
    const through = next - 1;
    const after = Math.max(floor, through - width);
    const entries = [...(await archive.keys(after, through))];
    if (entries.length < width / 8) width = Math.min(WIDEST, width * 2);
    else if (entries.length > width / 2) width = Math.max(NARROWEST, width / 2);
    await runtime.sleep(LOOK_PAUSE_MS);
    return { next, after, entries };
  }

  /** One turn's work, from the newest on. */
  async function work(mine: Release): Promise<void> {
    const until = runtime.now() + turnMs;
    if (window === undefined || window.entries.length === 0 || window.next !== mine.next)
      window = await look(mine);
    const former = new Set(mine.former);
    let { remade } = mine;
    while (window.entries.length > 0 && runtime.now() < until && !isStopped()) {
      const some = window.entries.slice(-atATime).reverse();
      const wanted = some.flatMap(({ key }) => formerOf(key) ?? []);
      for (const { fold } of wanted) former.add(fold);
      remade += await remakeMissing(wanted);
      if (isStopped()) break;
      window.entries.length -= some.length;
      window.next = some.at(-1)?.revision ?? window.next;
    }
    if (window.entries.length === 0) window.next = window.after + 1;
    news = { next: window.next, remade, former: [...former] };
  }

  /** Those whose snapshot nobody has made meanwhile, at the pace that is allowed. @returns how many */
  async function remakeMissing(wanted: readonly { decider: AnyDecider; id: string }[]): Promise<number> {
    // One aggregate may have snapshots of several former folds.
    const byKey = new Map(
      wanted.map((each) => [
        snapshotKey(each.decider, { category: each.decider.category, id: each.id }),
        each,
      ]),
    );
    const held = byKey.size === 0 ? new Set() : await archive.held([...byKey.keys()]);
    let made = 0;
    // One by one: commands that come between wait for one fold at the most.
    for (const [key, each] of byKey) {
      if (isStopped()) break;
      if (held.has(key)) continue;
      const startedAt = runtime.now();
      await remakeOne(each);
      made++;
      const pauseMs = 1_000 / settings.perSecond - (runtime.now() - startedAt);
      if (pauseMs > 0) await runtime.sleep(pauseMs);
    }
    if (made > 0) observer?.remade?.(made);
    return made;
  }

  async function remakeOne({ decider, id: of }: { decider: AnyDecider; id: string }): Promise<void> {
    try {
      // It is folded by this decider from its first event on.
      await snapshots.remake(decider as AnyFolding, { category: decider.category, id: of });
    } catch (error) {
      // A history that cannot be folded has no snapshot; who commands it is told why.
      if (!isDamage(error) && !(error instanceof UnknownEventType)) throw error;
    }
  }

  /** Behind a pass comes another, once nobody writes former snapshots any more; behind that, nothing. */
  async function endPass(mine: Release, releases: Releases): Promise<boolean> {
    const others = Object.entries(releases).filter(([name]) => name !== id);
    if (others.some(([name, release]) => isAlive(name, release))) return false;
    if (mine.floor === 0 && mine.top > 0) {
      const top = await archive.end();
      news = { floor: mine.top, top, next: top + 1 };
    } else {
      news = { endedAt: runtime.now() };
      observer?.ended?.({ ...mine, ...news });
    }
    return true;
  }

  async function clean(mine: Release, releases: Releases): Promise<void> {
    const now = runtime.now();
    if (now - (mine.endedAt ?? now) < settings.keepMs) return;
    if (now - lookedAt < settings.keepMs / LOOKS_PER_KEEPING) return;
    lookedAt = now;
    const unused = unusedFolds(releases, id, now - settings.keepMs);
    if (unused.length === 0) return;
    for (const fold of unused) await archive.drop(fold);
    const { releases: current, revision } = await readReleases(archive.rows);
    // Where another's sign was faster they are dropped once more at the next look, and told then.
    if (await writeReleases(archive.rows, withoutFolds(current, id, unused), revision))
      observer?.dropped?.(unused);
  }

  const isOvertaken = ({ since }: Release, releases: Releases): boolean =>
    Object.entries(releases).some(
      ([name, other]) => name !== id && other.since > since && isAlive(name, other),
    );

  return {
    /** @returns whether there is more to do at once @throws LogUnavailable, PermissionDenied */
    turn: async (): Promise<boolean> => {
      const led = await lead();
      if (led === undefined) return false;
      const { mine, releases } = led;
      // The newer release's snapshots are the ones that will be needed.
      if (isOvertaken(mine, releases)) return false;
      if (mine.endedAt !== undefined) {
        await clean(mine, releases);
        return false;
      }
      if (mine.next <= mine.floor + 1) return endPass(mine, releases);
      await work(mine);
      return true;
    },
    /** Tells what is new, and that another may go on. @throws LogUnavailable */
    leave: async (): Promise<void> => {
      const { releases, revision } = await readReleases(archive.rows);
      const known = releases[id];
      if (known?.owner !== me) return;
      const left = { ...releases, [id]: { ...known, ...news, owner: '' } };
      await writeReleases(archive.rows, left, revision);
    },
  };
}
