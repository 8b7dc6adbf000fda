import type { EmailKey } from '../../../src/app/email-key.ts';
import { type EmailEvent, email } from '../../../src/domain/email.ts';
import { type UserEvent, type UserState, user } from '../../../src/domain/user.ts';
import { codecOf } from '../../../src/eventstore/codec/event-codec.ts';
import { emptyFold, type Folded, foldCommit } from '../../../src/eventstore/fold.ts';
import type { RecordedCommit } from '../../../src/eventstore/log.ts';
import type { MemoryStore } from '../../../src/testing/memory-log.ts';

/** An answer that says that an address is now the user's. */
export interface Acknowledged {
  readonly commandId: string;
  readonly userId: string;
  readonly address: string;
  readonly version: number;
}

type EmailFold = Folded<typeof email.initial>;

/** Reads the whole log and returns everything in it that must not be, as sentences; empty = all is well. */
export function violationsOf(
  store: MemoryStore,
  key: EmailKey,
  acknowledged: readonly Acknowledged[],
): string[] {
  const users = new Map<string, Folded<UserState>>();
  const emails = new Map<string, EmailFold>();
  const found: string[] = [];
  for (let position = 1; position <= store.head() && found.length === 0; position++) {
    const commit = store.at(position);
    if (commit === undefined) continue;
    fold(commit, users, emails);
    found.push(...ownership(users, emails, key).map((problem) => `at ${position}: ${problem}`));
  }
  return [...found, ...acknowledged.flatMap((ack) => missing(store, ack)), ...twiceStored(store)];
}

/** Who owns an address at the end of the log. */
export function ownersOf(store: MemoryStore, address: string): string[] {
  const users = new Map<string, Folded<UserState>>();
  for (let position = 1; position <= store.head(); position++) {
    const commit = store.at(position);
    if (commit !== undefined) fold(commit, users, new Map());
  }
  return [...users].filter(([, { state }]) => 'email' in state && state.email === address).map(([id]) => id);
}

/** The events of the log in order, as `category/id Type`. */
export function eventsOf(store: MemoryStore): string[] {
  const events: string[] = [];
  for (let position = 1; position <= store.head(); position++) {
    const commit = store.at(position);
    for (const decision of commit?.decisions ?? []) {
      for (const event of decision.events)
        events.push(`${commit?.stream.category}/${commit?.stream.id} ${event.type}`);
    }
  }
  return events;
}

function fold(
  commit: RecordedCommit,
  users: Map<string, Folded<UserState>>,
  emails: Map<string, EmailFold>,
): void {
  const { category, id } = commit.stream;
  if (category === user.category) foldCommit(user, entry(users, id, user.initial), commit);
  if (category === email.category) foldCommit(email, entry(emails, id, email.initial), commit);
}

function entry<S>(map: Map<string, Folded<S>>, id: string, initial: S): Folded<S> {
  const known = map.get(id) ?? emptyFold(initial);
  map.set(id, known);
  return known;
}

function ownership(
  users: Map<string, Folded<UserState>>,
  emails: Map<string, EmailFold>,
  key: EmailKey,
): string[] {
  const found: string[] = [];
  const owners = new Map<string, string>();
  for (const [id, { state }] of users) {
    if (!('email' in state)) continue;
    const other = owners.get(state.email);
    if (other !== undefined) found.push(`${state.email} has two owners, ${other} and ${id}`);
    owners.set(state.email, id);
    const claimed = emails.get(key.idOf(state.email))?.state;
    const claim = claimed?.status === 'claimed' ? claimed.claim : undefined;
    if (claim?.userId !== id || claim.attempt !== state.emailAttempt) {
      found.push(`${state.email} is ${id}'s and not claimed by its attempt`);
    }
  }
  return found;
}

function missing(store: MemoryStore, { commandId, userId, address, version }: Acknowledged): string[] {
  const commit = store.at(version);
  const decision = commit?.decisions.find((d) => d.commandId === commandId);
  const codec = codecOf<UserEvent | EmailEvent>(user);
  const event = decision?.events.map((stored) => codec.decode(stored, userId))[0];
  const right =
    commit?.stream.id === userId && event !== undefined && 'email' in event && event.email === address;
  return right ? [] : [`${commandId} was acknowledged at ${version} and is not there`];
}

function twiceStored(store: MemoryStore): string[] {
  const seen = new Set<string>();
  const found: string[] = [];
  for (let position = 1; position <= store.head(); position++) {
    for (const { commandId } of store.at(position)?.decisions ?? []) {
      if (seen.has(commandId)) found.push(`${commandId} is in the log twice`);
      seen.add(commandId);
    }
  }
  return found;
}
