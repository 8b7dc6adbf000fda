import { FORGOTTEN, type UserEvent, user } from '../../domain/user.ts';
import { versionAt } from '../../eventstore/index.ts';
import {
  type Page,
  type PageRequest,
  type Projection,
  parseRow,
  type ReadOptions,
  type ReadRow,
  readLowest,
  type ViewIndex,
  type ViewReader,
} from '../engine/index.ts';

import { listOf } from './filters.ts';
import { isoTime } from './json.ts';
import { folded, LEAST_NAME_PREFIX, nameDigests, prefixDigest } from './names.ts';

/** A user as the API serves it. */
export interface UserRow {
  readonly id: string;
  readonly name: string;
  readonly email: string;
  readonly status: 'active' | 'deactivated' | 'forgotten';
  readonly createdAt: string;
  readonly version: number;
}

/** One row per user, by id. A registration that was given up leaves no row; a pending change of address does not show. */
export const users: Projection<UserRow, UserEvent> = {
  name: 'users',
  version: 1,
  sources: [user],
  crossesAggregates: false,
  keyOf: (_event, { stream }) => stream.id,
  evolve: (row, event, context) => {
    if (event.$typeName === 'jetledger.user.v1.UserCreated') {
      const { name, email, createdAt } = event;
      const at = { createdAt: isoTime(createdAt), version: versionAt(context.position) };
      return { id: context.stream.id, name, email, status: 'active', ...at };
    }
    return row === undefined ? undefined : { ...changed(row, event), version: versionAt(context.position) };
  },
  schema: {
    type: 'object',
    required: ['id', 'name', 'email', 'status', 'createdAt', 'version'],
    additionalProperties: false,
    properties: {
      id: { type: 'string' },
      name: { type: 'string' },
      email: { type: 'string' },
      status: { enum: ['active', 'deactivated', 'forgotten'] },
      createdAt: { type: 'string', format: 'date-time' },
      version: { type: 'integer' },
    },
  },
};

function changed(row: UserRow, event: Exclude<UserEvent, { $typeName: 'jetledger.user.v1.UserCreated' }>) {
  switch (event.$typeName) {
    case 'jetledger.user.v1.UserRenamed':
      return { ...row, name: event.name };
    case 'jetledger.user.v1.EmailChanged':
      return { ...row, email: event.email };
    case 'jetledger.user.v1.UserDeactivated':
      return { ...row, status: 'deactivated' as const };
    case 'jetledger.user.v1.UserReactivated':
      return { ...row, status: 'active' as const };
    case 'jetledger.user.v1.UserForgotten':
      return { ...row, name: FORGOTTEN, email: FORGOTTEN, status: FORGOTTEN };
    case 'jetledger.user.v1.EmailChangeStarted':
    case 'jetledger.user.v1.EmailChangeAbandoned':
    case 'jetledger.user.v1.ForgettingRequested':
    case 'jetledger.user.v1.ForgettingCalledOff':
    case 'jetledger.user.v1.UserErased':
    case 'jetledger.user.v1.UserRegistrationAbandoned':
      return row;
    default:
      return event satisfies never;
  }
}

/** What users are found by whose name could not be read; no name is digested under it. */
const UNREADABLE = '';

/** What users are found by. It holds no name and no address: how a name begins is digested under a key. */
export const userIndex: ViewIndex<UserRow & { readonly unreadable?: boolean }> = {
  view: users,
  version: 2,
  columns: { status: 'text', namePrefix: 'texts', createdAt: 'integer' },
  lists: [[], ['status'], ['namePrefix'], ['namePrefix', 'status']].map((equal) => ({
    equal,
    sort: 'createdAt',
    descending: true,
  })),
  entryOf: ({ status, name, createdAt, unreadable = false }, _key, digest) => ({
    status,
    namePrefix: unreadable ? [digest(UNREADABLE)] : status === FORGOTTEN ? [] : nameDigests(name, digest),
    createdAt: Date.parse(createdAt),
  }),
};

/** Which users are wanted. */
export interface UserFilter {
  /** Of at least `LEAST_NAME_PREFIX` characters, whatever the case. */
  readonly namePrefix?: string | undefined;
  readonly status?: UserRow['status'] | undefined;
}

/** What can be asked of the view. @throws ViewBehind, LogUnavailable */
export interface UserQueries {
  user(id: string, options?: ReadOptions): Promise<ReadRow | undefined>;
  /** Who came last first. @throws InvalidCursor, ListNotBuilt; RangeError for a prefix that is too short */
  users(filter: UserFilter, page: PageRequest): Promise<Page>;
  /** The user of an id as a list, where it has this address by now. @throws ViewBehind */
  userWithEmail(id: string | undefined, email: string, options: ReadOptions): Promise<Page>;
}

export function userQueries(views: ViewReader): UserQueries {
  return {
    user: (id, options) => views.row(users, id, options),
    users: (filter, page) => usersWith(views, filter, page),
    userWithEmail: (id, email, options) => withEmail(views, id, email, options),
  };
}

async function usersWith(
  views: ViewReader,
  { namePrefix, status }: UserFilter,
  page: PageRequest,
): Promise<Page> {
  if (namePrefix === undefined)
    return views.page(userIndex, listOf(userIndex, 'createdAt', { status }), page);
  const { digest } = views.privacy;
  const found = prefixDigest(namePrefix, digest);
  if (found === undefined) throw new RangeError(`A prefix has ${LEAST_NAME_PREFIX} characters or more.`);
  const prefix = folded(namePrefix);
  const filter = {
    about: digest(prefix),
    passes: ({ name }: UserRow) => folded(name).startsWith(prefix),
  };
  const list = (begin: string) => listOf(userIndex, 'createdAt', { namePrefix: begin, status });
  const result = await views.page(userIndex, { ...list(found), filter }, page);
  const incomplete = await views.holds(userIndex, list(digest(UNREADABLE)), page);
  return incomplete ? { ...result, incomplete } : result;
}

async function withEmail(
  views: ViewReader,
  id: string | undefined,
  email: string,
  options: ReadOptions,
): Promise<Page> {
  // Read before the row: whatever it has seen, the row has.
  const live = await views.bucket(users, options);
  const reached = live && (await readLowest(live.bucket, live.groups));
  const row = id === undefined ? undefined : await views.row(users, id, options);
  const isOwner = row !== undefined && (parseRow(row.json) as UserRow).email === email;
  return { items: isOwner ? [row.json] : [], position: reached?.position };
}
