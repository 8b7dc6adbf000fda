import type { AggregatesAdmin, FoundAggregate, PastState, WaitingHere } from '../../api/operators/ports.ts';
import type { EmailKey } from '../../app/email-key.ts';
import { email } from '../../domain/email.ts';
import { order } from '../../domain/order.ts';
import { product } from '../../domain/product.ts';
import { user } from '../../domain/user.ts';
import { normaliseEmail } from '../../domain/values.ts';
import { history, type Log, type RecordedCommit, type StreamRef, versionAt } from '../../eventstore/index.ts';
import type { DeadLetterPort } from '../../processes/engine/index.ts';
import type { ViewReader } from '../../projections/engine/index.ts';
import { orderQueries } from '../../projections/views/orders.ts';
import { changesBetween } from './changes.ts';
import { describeCommit, folders, plainState } from './describe.ts';

/** Of ids that an aggregate can have; nothing else is asked for. */
const ID = /^[A-Za-z0-9_-]{1,128}$/;
/** How many of the newest orders are searched for a payment id, by which no list is sorted. */
const NEWEST_ORDERS = 2_000;
const PAGE = 200;
/** More orders of one external reference are not told. */
const MOST = 20;

/** Aggregates for operators: from the log alone, so that no view and no snapshot can be wrong about them. */
export function createAggregates(deps: {
  readonly log: Log;
  readonly views: ViewReader;
  readonly parked: Pick<DeadLetterPort, 'list'>;
  readonly waitsOf: (stream: StreamRef) => Promise<WaitingHere>;
  readonly emailKey: Pick<EmailKey, 'idOf'>;
}): AggregatesAdmin {
  const { log, parked, waitsOf } = deps;
  return {
    find: (text) => find(deps, text.trim()),
    at: (stream, version) => stateAt(log, stream, version),
    waitsFor: async (stream) => {
      const { category, id } = stream;
      const [deadLetters, waiting] = await Promise.all([parked.list({ category, id }), waitsOf(stream)]);
      return { deadLetters, ...waiting };
    },
    commits: async (stream, { after, limit }) => {
      const commits: RecordedCommit[] = [];
      for (let from = after, more = true; more && commits.length <= limit; ) {
        const page = await log.read(stream, { after: from, confirm: true });
        commits.push(...page.commits);
        const last = page.commits.at(-1);
        more = page.more && last !== undefined;
        if (last !== undefined) from = versionAt(last.position);
      }
      const shown = commits.slice(0, limit);
      const last = shown.at(-1);
      const items = shown.map(describeCommit);
      return commits.length > limit && last ? { items, next: versionAt(last.position) } : { items };
    },
  };
}

async function stateAt(log: Log, stream: StreamRef, version?: number): Promise<PastState | undefined> {
  const folder = folders.get(stream.category);
  const newest = await log.last(stream);
  if (folder === undefined || newest === undefined) return undefined;
  const folded = folder.begin();
  let commits = 0;
  let pending: RecordedCommit | undefined;
  for await (const commit of history(log, stream, version === undefined ? {} : { version })) {
    if (pending !== undefined) folder.fold(folded, pending);
    pending = commit;
    commits++;
  }
  // Copied before the last commit is folded: what that one changed is told.
  const before = plainState(folded.state);
  if (pending !== undefined) folder.fold(folded, pending);
  if (commits === 0) return undefined;
  const state = plainState(folded.state);
  const latest = versionAt(newest.position);
  return {
    ...stream,
    version: folded.version,
    latest,
    commits,
    state,
    changes: changesBetween(before, state),
  };
}

interface FindDeps {
  readonly log: Log;
  readonly views: ViewReader;
  readonly emailKey: Pick<EmailKey, 'idOf'>;
}

async function find({ log, views, emailKey }: FindDeps, text: string): Promise<readonly FoundAggregate[]> {
  const address = normaliseEmail(text);
  if (address !== undefined && text.includes('@')) return byAddress(log, emailKey.idOf(address));
  const found: FoundAggregate[] = [];
  for (const { category } of [order, user, product, email]) {
    const id = category === product.category ? text.toUpperCase() : text;
    const stream = { category, id };
    if (ID.test(id) && (await log.last(stream)) !== undefined) found.push({ ...stream, by: 'id' });
  }
  return found.length > 0 ? found : amongOrders(views, text);
}

async function byAddress(log: Log, id: string): Promise<readonly FoundAggregate[]> {
  const claim = await stateAt(log, { category: email.category, id });
  if (claim === undefined) return [];
  const found: FoundAggregate[] = [{ category: email.category, id, by: 'email' }];
  const { claim: held } = claim.state as { readonly claim?: { readonly userId: string } };
  return held === undefined ? found : [{ category: user.category, id: held.userId, by: 'email' }, ...found];
}

interface OrderLine {
  readonly id: string;
  readonly payment?: { readonly id?: string };
}

async function amongOrders(views: ViewReader, text: string): Promise<readonly FoundAggregate[]> {
  const [byReference, byPayment] = await Promise.all([
    ordersOf(views, { externalReference: text }, MOST),
    ordersOf(views, {}, NEWEST_ORDERS, ({ payment }) => payment?.id === text),
  ]);
  return [
    ...byPayment.map((id) => ({ category: order.category, id, by: 'payment' as const })),
    ...byReference.map((id) => ({ category: order.category, id, by: 'reference' as const })),
  ];
}

/** The ids among the newest `most` orders of a list that fit. */
async function ordersOf(
  views: ViewReader,
  filter: { readonly externalReference?: string },
  most: number,
  fits: (line: OrderLine) => boolean = () => true,
): Promise<readonly string[]> {
  const found: string[] = [];
  const { orders } = orderQueries(views);
  let cursor: string | undefined;
  for (let seen = 0; seen < most; seen += PAGE) {
    const page = await orders({ sort: 'placedAt', ...filter }, { limit: Math.min(PAGE, most), cursor });
    for (const item of page.items) {
      const line = JSON.parse(Buffer.from(item).toString('utf8')) as OrderLine;
      if (fits(line)) found.push(line.id);
    }
    ({ next: cursor } = page);
    if (cursor === undefined) break;
  }
  return found;
}
