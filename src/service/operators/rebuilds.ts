import type { Logger } from 'pino';
import {
  BEGINNING,
  type Bucket,
  EventStoreError,
  numberOf,
  type Runtime,
  reasonOf,
} from '../../eventstore/index.ts';
import { type Buckets, parseRow, toBytes } from '../../processes/engine/index.ts';
import {
  type Projection,
  type RebuildDeps,
  type RebuildResult,
  rebuild,
  refoldOne,
  rollback,
} from '../../projections/engine/index.ts';
import {
  answerKey,
  answersBucket,
  isEnded,
  requestIn,
  type StoredAnswer,
  type StoredRequest,
  VIEW_ACTIONS,
} from './requests.ts';

const BEAT_MS = 1_000;
/** A process that has not been heard of for this long, by the clock of whoever waits, is replaced. */
const SILENT_MS = 10_000;
const MOST_DIFFERING = 100;

/** What carries out requests for views (protocol 35): in a process that keeps them. */
export interface RebuildDesk {
  /** Lets go of what is under way, so that another process goes on with it. */
  stop(): Promise<void>;
}

export interface DeskDeps {
  /** Where the requests are. */
  readonly requests: Pick<Buckets, 'open'>;
  /** Where the answers are, and the views. */
  readonly answers: RebuildDeps['buckets'];
  readonly prefix: string;
  readonly runtime: Runtime;
  readonly logger: Pick<Logger, 'warn' | 'info'>;
  readonly views: readonly Projection[];
  /** What a rebuild works on, besides the view. */
  readonly work: Omit<RebuildDeps, 'projection'>;
}

interface Seen {
  readonly beat: number;
  readonly at: number;
}

/** Begins to look for requests at once, and carries them out one after the other. */
export function startRebuildDesk(deps: DeskDeps): RebuildDesk {
  const { requests, answers, prefix, runtime, logger } = deps;
  const stopping = new AbortController();
  const open = new Map<string, StoredRequest>();
  const seen = new Map<string, Seen>();
  const desk: Desk = { ...deps, open, seen, me: runtime.id(), signal: stopping.signal };
  const follow = async (): Promise<void> => {
    const bucket = await requests.open(`${prefix}_engine`);
    if (bucket === undefined) return;
    for await (const row of bucket.watch({ signal: stopping.signal })) {
      const request = requestIn(row);
      if (request !== undefined && VIEW_ACTIONS.has(request.action)) open.set(request.id, request);
    }
  };
  const watching = repeat(follow, stopping.signal, runtime, (err) =>
    logger.warn({ err }, 'requests of operators cannot be read at the moment'),
  );
  const look = async (): Promise<void> => {
    if (open.size === 0) return;
    const bucket = await answers.create(answersBucket(prefix), { durable: true });
    for (const request of [...open.values()].sort((a, b) => a.number - b.number)) {
      if (!stopping.signal.aborted) await consider(desk, bucket, request);
    }
  };
  const working = repeat(look, stopping.signal, runtime, (err) =>
    logger.warn({ err }, 'requests of operators cannot be carried out at the moment'),
  );
  return {
    stop: async () => {
      stopping.abort();
      await Promise.all([watching, working]);
    },
  };
}

async function repeat(
  work: () => Promise<void>,
  signal: AbortSignal,
  runtime: Runtime,
  onTrouble: (error: unknown) => void,
): Promise<void> {
  while (!signal.aborted) {
    await work().catch((error: unknown) => {
      if (!signal.aborted) onTrouble(error);
    });
    if (!signal.aborted) await runtime.sleep(BEAT_MS);
  }
}

interface Desk extends DeskDeps {
  readonly open: Map<string, StoredRequest>;
  readonly seen: Map<string, Seen>;
  readonly me: string;
  readonly signal: AbortSignal;
}

/** Takes a request that nobody is at, or whose owner is silent; forgets one that has ended. */
async function consider(desk: Desk, bucket: Bucket, request: StoredRequest): Promise<void> {
  const { open, seen, me, runtime } = desk;
  const row = await bucket.get(answerKey(request), { leader: true });
  const stored = parseRow<StoredAnswer>(row);
  const known = stored?.id === request.id ? stored : undefined;
  if (known !== undefined && isEnded(known.state)) {
    open.delete(request.id);
    seen.delete(request.id);
    return;
  }
  if (known !== undefined && known.owner !== '') {
    const before = seen.get(request.id);
    if (before?.beat !== known.beat) seen.set(request.id, { beat: known.beat, at: runtime.now() });
    if (before?.beat !== known.beat || runtime.now() - before.at < SILENT_MS) return;
  }
  const claim: StoredAnswer = { id: request.id, owner: me, beat: (known?.beat ?? 0) + 1, state: 'running' };
  const value = toBytes(claim);
  const expectedRevision = row?.revision ?? 0;
  const taken = await bucket.write({ key: answerKey(request), value, expectedRevision, position: BEGINNING });
  if (taken.written) await carryOut(desk, bucket, request, claim, taken.revision, known !== undefined);
}

/** Does it, and says every second that it is still at it: whoever lost that fence stops. */
async function carryOut(
  desk: Desk,
  bucket: Bucket,
  request: StoredRequest,
  claim: StoredAnswer,
  claimed: number,
  resume: boolean,
): Promise<void> {
  const { open, signal, runtime, logger } = desk;
  const lost = new AbortController();
  const both = AbortSignal.any([signal, lost.signal]);
  let answer = claim;
  let revision = claimed;
  const write = async (next: Partial<StoredAnswer>): Promise<void> => {
    answer = { ...answer, ...next, beat: answer.beat + 1 };
    const row = {
      key: answerKey(request),
      value: toBytes(answer),
      expectedRevision: revision,
      position: BEGINNING,
    };
    const result = await bucket.write(row);
    if (result.written) revision = result.revision;
    else lost.abort();
  };
  let progress: StoredAnswer['progress'];
  let over = false;
  const beating = (async () => {
    while (!over && !both.aborted) {
      await runtime.sleep(BEAT_MS);
      if (open.get(request.id)?.cancelledBy !== undefined) lost.abort();
      if (!over && !both.aborted) await write({ ...(progress && { progress }) }).catch(() => undefined);
    }
  })();
  const note = (applied: number, total: number, etaSeconds: number): void => {
    progress = { applied, total, etaSeconds };
  };
  const end = await execute(desk, request, { signal: both, resume, note });
  over = true;
  await beating;
  // Another process goes on with it.
  if (signal.aborted) return write({ owner: '' });
  if (progress !== undefined) answer = { ...answer, progress };
  await write({ ...end, endedAt: runtime.now() });
  open.delete(request.id);
  logger.info({ request: request.id, action: request.action, view: request.target, ...end }, 'carried out');
}

type End = Pick<StoredAnswer, 'state' | 'result' | 'differing'>;

async function execute(
  { work, views }: Desk,
  { action, target, aggregate, commitsPerSecond, cancelledBy }: StoredRequest,
  run: {
    readonly signal: AbortSignal;
    readonly resume: boolean;
    readonly note: (applied: number, total: number, etaSeconds: number) => void;
  },
): Promise<End> {
  const projection = views.find(({ name }) => name === target);
  if (projection === undefined)
    return { state: 'failed', result: `There is no view ${target} in this version.` };
  if (cancelledBy !== undefined) return { state: 'cancelled', result: 'It had not begun.' };
  const { signal, resume, note } = run;
  const deps = { ...work, projection };
  const onProgress: NonNullable<Parameters<typeof rebuild>[0]['onProgress']> = (at) =>
    note(at.applied, at.total, at.etaSeconds);
  try {
    if (action === 'refold') {
      const { position } = await refoldOne({ ...deps, id: aggregate ?? '' });
      return { state: 'done', result: `Folded again, up to position ${numberOf(position)}.` };
    }
    if (action === 'rollback') return told(await rollback({ ...deps, signal, onProgress }), []);
    const differing: string[] = [];
    const onDifference = ({ key }: { readonly key: string }): void => {
      if (differing.length < MOST_DIFFERING) differing.push(key);
    };
    const pace = commitsPerSecond === undefined ? {} : { commitsPerSecond };
    return told(await rebuild({ ...deps, ...pace, resume, signal, onProgress, onDifference }), differing);
  } catch (error) {
    if (error instanceof EventStoreError && error.code === 'view/cancelled')
      return { state: 'cancelled', result: 'The view is as it was.' };
    return { state: 'failed', result: reasonOf(error) };
  }
}

function told({ bucket, switched, dropped, comparison }: RebuildResult, differing: readonly string[]): End {
  const compared =
    comparison === undefined
      ? ''
      : ` ${comparison.rows} rows compared, ${comparison.differing} differ, ${comparison.open} changed too fast to tell.`;
  const gone = dropped.length === 0 ? '' : ` Dropped ${dropped.join(', ')}.`;
  const where = switched ? `Now in ${bucket}.` : 'Another rebuild was faster.';
  return { state: 'done', result: `${where}${compared}${gone}`, differing };
}
