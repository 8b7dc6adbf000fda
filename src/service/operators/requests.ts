import type { OperatorRequest, RequestState, RequestsAdmin, Wish } from '../../api/operators/ports.ts';
import { BEGINNING, type Bucket, type Row, type Runtime } from '../../eventstore/index.ts';
import { type Buckets, bucketNames, parseRow, toBytes } from '../../processes/engine/index.ts';

/** A request as its row holds it, in the bucket that whoever pauses consumers may write. */
export interface StoredRequest extends Wish {
  /** Counts all requests that were ever made. */
  readonly number: number;
  readonly at: number;
  readonly cancelledBy?: string;
  /** Written by the process that asked, where it carries it out itself. */
  readonly ended?: {
    readonly state: RequestState;
    readonly at: number;
    readonly result?: string;
    readonly marked?: number;
  };
}

/** What whoever carries a request out writes, in a bucket of its own. */
export interface StoredAnswer {
  /** Of the request. */
  readonly id: string;
  /** The process that is at it; empty when it has let go of it. */
  readonly owner: string;
  /** Grows while the owner lives. */
  readonly beat: number;
  readonly state: RequestState;
  readonly progress?: OperatorRequest['progress'];
  readonly differing?: readonly string[];
  readonly result?: string;
  readonly endedAt?: number;
}

/** So many are kept; a new one takes the row of the oldest. */
export const KEPT = 500;
/** How the keys of requests begin. */
export const REQUEST = 'request.';
const ANSWER = 'answer.';
const DIGITS = 3;

const slotOf = (number: number): string => String(number % KEPT).padStart(DIGITS, '0');

/** What a row of requests holds; undefined for any other row. */
export function requestIn(row: Row): StoredRequest | undefined {
  return row.key.startsWith(REQUEST) ? parseRow<StoredRequest>(row) : undefined;
}

/** The key of a request's answer, which the answer of the request of 500 earlier had. */
export const answerKey = ({ number }: Pick<StoredRequest, 'number'>): string => ANSWER + slotOf(number);

/** The bucket of those who carry out requests for views, where they may make buckets. */
export const answersBucket = (prefix: string): string => `${prefix}_operations`;

/** Of these, one at a time for each view. */
export const VIEW_ACTIONS: ReadonlySet<string> = new Set(['rebuild', 'rollback', 'refold']);

export const isEnded = (state: RequestState): boolean =>
  state === 'done' || state === 'failed' || state === 'cancelled';

interface Kept {
  readonly request: StoredRequest;
  readonly revision: number;
}

/**
 * Requests of operators as rows of a ring: whoever may pause consumers may write them, so no permission is added
 * (protocol 35). `answers` is where those who keep the views say what came of theirs.
 */
export function createRequests(deps: {
  readonly buckets: Buckets;
  readonly answers: Pick<Buckets, 'open'>;
  readonly prefix: string;
  readonly runtime: Runtime;
}): RequestsAdmin {
  const { buckets, answers, prefix, runtime } = deps;
  let opened: Bucket | undefined;
  const open = async (): Promise<Bucket> => {
    opened ??= await buckets.create(bucketNames(prefix).shared, { durable: true });
    return opened;
  };
  const kept = async (): Promise<Kept[]> => {
    const found: Kept[] = [];
    for await (const row of (await open()).rows({ prefix: REQUEST })) {
      const request = requestIn(row);
      if (request !== undefined) found.push({ request, revision: row.revision });
    }
    return found.sort((a, b) => b.request.number - a.request.number);
  };
  const answered = async (): Promise<ReadonlyMap<string, StoredAnswer>> => {
    const found = new Map<string, StoredAnswer>();
    const bucket = await answers.open(answersBucket(prefix));
    if (bucket === undefined) return found;
    for await (const row of bucket.rows({ prefix: ANSWER })) {
      const answer = parseRow<StoredAnswer>(row);
      if (answer !== undefined) found.set(answer.id, answer);
    }
    return found;
  };
  const list = async (): Promise<readonly OperatorRequest[]> => {
    const [requests, ends] = await Promise.all([kept(), answered()]);
    return requests.map(({ request, revision }) => shown(request, revision, ends.get(request.id)));
  };
  /** False when another one was faster: look again. */
  const write = async (request: StoredRequest, expectedRevision: number): Promise<boolean> => {
    const key = REQUEST + slotOf(request.number);
    const row = { key, value: toBytes(request), expectedRevision, position: BEGINNING };
    return (await (await open()).write(row)).written;
  };
  const change = async (id: string, next: (known: Kept) => StoredRequest | undefined): Promise<boolean> => {
    for (;;) {
      const known = (await kept()).find(({ request }) => request.id === id);
      const request = known && next(known);
      if (known === undefined || request === undefined) return false;
      if (await write(request, known.revision)) return true;
    }
  };
  const find = async (id: string) => (await list()).find((request) => request.id === id);
  return {
    list,
    find,
    ask: async (wish) => {
      for (;;) {
        const all = await list();
        const same = all.find((request) => request.id === wish.id || isUnderWay(request, wish));
        if (same !== undefined) return same;
        const rows = await kept();
        const number = (rows[0]?.request.number ?? -1) + 1;
        const oldest = rows.find(({ request }) => request.number % KEPT === number % KEPT);
        if (await write({ ...wish, number, at: runtime.now() }, oldest?.revision ?? 0)) {
          const made = await find(wish.id);
          if (made !== undefined) return made;
        }
      }
    },
    end: async (id, { state, result, marked }) => {
      const ended = {
        state,
        at: runtime.now(),
        ...(result && { result }),
        ...(marked !== undefined && { marked }),
      };
      await change(id, ({ request }) => ({ ...request, ended }));
    },
    cancel: async (id, by, revision) => {
      const done = await change(id, (known) =>
        revision === undefined || known.revision === revision
          ? { ...known.request, cancelledBy: known.request.cancelledBy ?? by }
          : undefined,
      );
      return done ? find(id) : undefined;
    },
  };
}

/** What would work on the same view at the same time. */
function isUnderWay({ action, target, state }: OperatorRequest, wish: Wish): boolean {
  return (
    VIEW_ACTIONS.has(wish.action) && VIEW_ACTIONS.has(action) && target === wish.target && !isEnded(state)
  );
}

function shown(request: StoredRequest, revision: number, answer: StoredAnswer | undefined): OperatorRequest {
  const { number: _, ended, ...wish } = request;
  const { state = 'asked', endedAt, result, progress, differing } = answer ?? {};
  const unbegun =
    request.cancelledBy !== undefined && answer === undefined && VIEW_ACTIONS.has(request.action);
  return {
    ...wish,
    revision,
    state: ended?.state ?? (unbegun ? 'cancelled' : state),
    endedAt: ended?.at ?? endedAt,
    result: ended?.result ?? result,
    marked: ended?.marked,
    progress,
    differing,
  };
}
