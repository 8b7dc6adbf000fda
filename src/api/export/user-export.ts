import { email } from '../../domain/email.ts';
import { order } from '../../domain/order.ts';
import { FORGOTTEN, isRegistered, type UserState, user } from '../../domain/user.ts';
import {
  createBoundedCache,
  type Position,
  type RecordedCommit,
  readStream,
  type StreamRef,
} from '../../eventstore/index.ts';
import type { Page } from '../../projections/engine/index.ts';
import { nameDigests } from '../../projections/views/names.ts';
import { ordersByUserQueries } from '../../projections/views/orders-by-user.ts';
import { deliveryBody } from '../delivery-tries.ts';
import type { ServiceDeps } from '../deps.ts';
import { asTyped } from '../events/history.ts';
import { requestBody } from '../operators/shown.ts';
import { parkedBody } from '../routes/admin.ts';
import type { ExportedList } from './schema.ts';

type Deps = Pick<ServiceDeps, 'handler' | 'log' | 'views' | 'personal' | 'admin' | 'personalRecords'>;

const showUser = asTyped(user);
const showOrder = asTyped(order);
const showEmail = asTyped(email);

/** Whose an order is never changes. */
const OWNER_MAX_AGE_MS = 24 * 3_600_000;
const REMEMBERED = 10_000;
/** Orders of a page, and of these so many are read at once. */
const PAGE = 50;
const AT_ONCE = 10;

/** A list of the export with its items, which come as they are read. */
export type ExportedItems = readonly [name: ExportedList, items: AsyncIterable<unknown> | Iterable<unknown>];

/**
 * The lists of everything that is held about a user, still sealed. Nothing is read before it is asked for but the first
 * orders, and no more is held than a page of them.
 * @param reached what is stored up to here is in it
 * @throws LogUnavailable, ViewBehind
 */
export async function listsOf(
  deps: Deps,
  userId: string,
  reached: Position,
): Promise<readonly ExportedItems[]> {
  const { personalRecords, admin } = deps;
  const found = { addresses: new Set<string>(), names: new Set<string>() };
  const isTheirs = ownership(deps, userId);
  const first = await ordersPage(deps, userId, reached, undefined);
  return [
    ['events', userEvents(deps, userId, found)],
    ['addresses', addresses(deps, found.addresses)],
    ['orders', orders(deps, userId, reached, first)],
    ['notifications', notifications(personalRecords, userId)],
    ['deadLetters', those(admin.parked.all(), isTheirs, parkedBody)],
    ['operatorRequests', operatorRequests(deps, userId, isTheirs)],
    ['deliveries', deliveries(personalRecords, isTheirs)],
    ['nameDigests', digestsOf(deps, found.names)],
  ];
}

type IsTheirs = (stream: StreamRef) => Promise<boolean>;

function ownership({ handler }: Deps, userId: string): IsTheirs {
  const known = createBoundedCache<boolean>(REMEMBERED);
  const isOwnOrder = async (id: string): Promise<boolean> => {
    const { state } = await handler.load(order, id, { maxAgeMs: OWNER_MAX_AGE_MS });
    return state.status !== 'absent' && state.userId === userId;
  };
  return async ({ category, id }) => {
    if (category === user.category) return id === userId;
    if (category !== order.category) return false;
    const answer = known.get(id) ?? (await isOwnOrder(id));
    known.set(id, answer);
    return answer;
  };
}

/** Notes the names and addresses that it comes by. */
async function* userEvents(
  { log, personal }: Deps,
  id: string,
  found: { readonly addresses: Set<string>; readonly names: Set<string> },
): AsyncGenerator<unknown> {
  for await (const commit of readStream(log, { category: user.category, id })) {
    for (const event of await personal.open(showUser(commit))) {
      const { email: address, name } = event.data;
      if (typeof address === 'string' && address.includes('@')) found.addresses.add(address);
      if (typeof name === 'string' && name !== FORGOTTEN) found.names.add(name);
      yield event;
    }
  }
}

/** Of addresses that were noted before this is asked for its first item. */
async function* addresses(
  { log, personalRecords }: Deps,
  found: ReadonlySet<string>,
): AsyncGenerator<unknown> {
  for (const address of found) {
    const digest = personalRecords.emailIdOf(address);
    const events = await eventsOf(log, { category: email.category, id: digest }, showEmail);
    // Their aggregate is the digest.
    const told = events.map(({ category: _, aggregateId: __, ...event }) => event);
    if (told.length > 0) yield { digest, events: told };
  }
}

async function eventsOf<Event>(
  log: Deps['log'],
  stream: StreamRef,
  show: (commit: RecordedCommit) => readonly Event[],
): Promise<readonly Event[]> {
  const events: Event[] = [];
  for await (const commit of readStream(log, stream)) events.push(...show(commit));
  return events;
}

function ordersPage(
  { views }: Deps,
  userId: string,
  minPosition: Position,
  cursor: string | undefined,
): Promise<Page> {
  return ordersByUserQueries(views).ordersOfUser(userId, { limit: PAGE, cursor, minPosition });
}

async function* orders(deps: Deps, userId: string, reached: Position, first: Page): AsyncGenerator<unknown> {
  for (let page = first; ; page = await ordersPage(deps, userId, reached, page.next)) {
    for (let at = 0; at < page.items.length; at += AT_ONCE) {
      const rows = page.items
        .slice(at, at + AT_ONCE)
        .map((row) => JSON.parse(Buffer.from(row).toString()) as { id: string });
      yield* await Promise.all(
        rows.map(async (row) => ({
          order: row,
          events: await eventsOf(deps.log, { category: order.category, id: row.id }, showOrder),
        })),
      );
    }
    if (page.next === undefined) return;
  }
}

async function* notifications(
  records: ServiceDeps['personalRecords'],
  userId: string,
): AsyncGenerator<unknown> {
  for await (const { id, kind, orderId, text, time } of records.notifications(userId))
    yield { id, kind, ...(orderId !== undefined && { orderId }), text, time: new Date(time).toISOString() };
}

async function* those<Item extends StreamRef>(
  items: AsyncIterable<Item>,
  isTheirs: IsTheirs,
  show: (item: Item) => unknown,
): AsyncGenerator<unknown> {
  for await (const item of items) if (await isTheirs(item)) yield show(item);
}

/** Ids in what an operator asked for; others than those of aggregates hold no digit. */
const IDS = /[A-Za-z0-9_-]*\d[A-Za-z0-9_-]*/g;

async function* operatorRequests(
  { admin }: Deps,
  userId: string,
  isTheirs: IsTheirs,
): AsyncGenerator<unknown> {
  for (const request of await admin.requests.list()) {
    const { target, aggregate = '', by } = request;
    const words = `${target} ${aggregate}`;
    const named = new Set([by, ...words.split(/[^A-Za-z0-9_-]+/)]).has(userId);
    if (named || (await isAnyTheirs(words.match(IDS) ?? [], isTheirs))) yield requestBody(request);
  }
}

async function isAnyTheirs(ids: readonly string[], isTheirs: IsTheirs): Promise<boolean> {
  for (const id of ids) if (await isTheirs({ category: order.category, id })) return true;
  return false;
}

async function* deliveries(
  records: ServiceDeps['personalRecords'],
  isTheirs: IsTheirs,
): AsyncGenerator<unknown> {
  for await (const attempt of records.attempts()) {
    const { subject: id } = attempt;
    for (const { category } of [user, order])
      if (await isTheirs({ category, id })) yield deliveryBody(attempt);
  }
}

/** Of names that were noted before this is asked for its first item. */
function* digestsOf({ views }: Deps, names: ReadonlySet<string>): Generator<string> {
  const all = [...names].flatMap((name) => nameDigests(name, views.privacy.digest));
  yield* new Set(all);
}

/** Whether there is such a user, or was one before it was forgotten. */
export function isHeld(state: UserState): boolean {
  return isRegistered(state) || state.status === FORGOTTEN;
}
