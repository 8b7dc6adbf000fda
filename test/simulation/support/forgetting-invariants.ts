import { email } from '../../../src/domain/email.ts';
import { order } from '../../../src/domain/order.ts';
import { isRegistered, type UserState, user } from '../../../src/domain/user.ts';
import { readStoredKey } from '../../../src/eventstore/personal/stored-key.ts';
import type { MemoryBucketStore } from '../../../src/testing/memory-bucket.ts';
import type { MemoryStore } from '../../../src/testing/memory-log.ts';
import { foldOf } from './shop-invariants.ts';

interface Stores {
  readonly keys: MemoryBucketStore;
  readonly ledger: MemoryBucketStore;
}

const keyOf = ({ keys }: Stores, person: string) =>
  readStoredKey(keys.last(person)?.value ?? new Uint8Array());

function isDestroyed(stores: Stores, person: string): boolean {
  const stored = keyOf(stores, person);
  return stored !== undefined && 'forgotten' in stored && stored.erasing === undefined;
}

const typesAt = (store: MemoryStore, position: number): string[] =>
  store.at(position)?.decisions.flatMap(({ events }) => events.map(({ type }) => type)) ?? [];

/** The log, which notices at once when it says that somebody is erased whose key is still there. */
export function watchedStore(store: MemoryStore, stores: Stores, problems: string[]): MemoryStore {
  return {
    ...store,
    putAll: (outgoing, guards) => {
      const position = store.putAll(outgoing, guards);
      const id = outgoing[0]?.stream.id ?? '';
      if (
        position !== undefined &&
        typesAt(store, position).includes('UserErased') &&
        !isDestroyed(stores, id)
      )
        problems.push(`${id} is said to be erased while its key is there`);
      return position;
    },
  };
}

/** What must not be when all has come to rest, as sentences. */
export function forgettingViolations(store: MemoryStore, stores: Stores): string[] {
  const { users, found } = retold(store);
  const ada = users.get('ada');
  if (ada?.status === 'forgotten' && ada.erasedAt === undefined) found.push('ada is never erased');
  if (ada !== undefined && isRegistered(ada) && ada.forgetting !== undefined)
    found.push('ada is never forgotten');
  for (const { key } of [...stores.keys.writes, ...stores.ledger.writes]) {
    const isForgotten = users.get(key)?.status === 'forgotten';
    if (!isForgotten && stores.ledger.last(key) !== undefined)
      found.push(`${key} is in the ledger and lives`);
    if (isForgotten && !isDestroyed(stores, key)) found.push(`${key} is forgotten and has a key`);
  }
  return [...new Set(found)];
}

/** Goes through the log: the users at its end, and what must not have been on the way. */
function retold(store: MemoryStore): {
  readonly users: ReadonlyMap<string, UserState>;
  readonly found: string[];
} {
  const users = new Map<string, UserState>();
  const addressOf = new Map<string, string>();
  const found: string[] = [];
  let requestedAt = 0;
  for (let position = 1; position <= store.head(); position++) {
    const stream = store.at(position)?.stream;
    if (stream?.category === email.category) {
      const state = foldOf(store, email, stream.id, position);
      if (state.status === 'claimed') addressOf.set(state.claim.attempt, stream.id);
    }
    if (stream?.category !== user.category) continue;
    const types = typesAt(store, position);
    if (types.includes('ForgettingRequested')) requestedAt = position;
    users.set(stream.id, foldOf(store, user, stream.id, position));
    found.push(...sharedIn(users, addressOf));
    if (types.includes('UserForgotten')) found.push(...openSince(store, requestedAt, position));
  }
  return { users, found };
}

/** Addresses that two users have by what their events say. */
function sharedIn(users: ReadonlyMap<string, UserState>, addressOf: ReadonlyMap<string, string>): string[] {
  const owners = new Map<string, string>();
  return [...users].flatMap(([id, state]) => {
    const address = isRegistered(state) ? addressOf.get(state.emailAttempt) : undefined;
    if (address === undefined) return [];
    const other = owners.get(address);
    owners.set(address, id);
    return other === undefined ? [] : [`${other} and ${id} have one address`];
  });
}

/** Orders that were placed before somebody asked to be forgotten and are open when it is. */
function openSince(store: MemoryStore, requestedAt: number, position: number): string[] {
  return ['o0', 'o1'].flatMap((id) => {
    const [placed] = store.ofStream({ category: order.category, id }, 0, position, 1);
    if (placed === undefined || Number(placed.position) > requestedAt) return [];
    const { status } = foldOf(store, order, id, position);
    return status === 'placed' || status === 'confirmed' ? [`${id} was open`] : [];
  });
}
