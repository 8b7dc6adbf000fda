import { createHash, randomUUID } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import type { CommandMeta } from '../../src/eventstore/command.ts';
import { rememberCommand } from '../../src/eventstore/command-log.ts';
import { emptyFold, type Folded } from '../../src/eventstore/fold.ts';
import type { Log } from '../../src/eventstore/log.ts';
import { planCommands } from '../../src/eventstore/plan.ts';
import type { StreamRef } from '../../src/eventstore/stream.ts';
import { CommitSchema } from '../../src/gen/jetledger/eventstore/v1/commit_pb.ts';
import {
  type CounterCommand,
  type CounterState,
  counter,
  counterRef,
} from '../../src/testing/contracts/toy.ts';

/** Commits of an ordinary aggregate, one event each. */
export const COMMITS = 5;
/** Commits of a long one, one event each. */
export const LONG_COMMITS = 1_000;
/** Ordinary aggregates whose five commits lie across the whole log. */
export const SCATTERED = 200;

/** The command that all histories are made of. */
export const ADD: CounterCommand = { kind: 'add', by: 1 };

/** An aggregate being written, with what is known of it. */
export interface Member {
  readonly stream: StreamRef;
  readonly folded: Folded<CounterState>;
}

/** The kinds of aggregates in a log. */
export type Kind =
  | 'ordinary'
  | 'scattered'
  | 'long'
  | 'long-with-snapshot'
  | 'in-a-row'
  | 'fresh'
  | 'before-kill';

/** The id of an aggregate: 36 characters without order, as services have them, since the server keeps every subject. */
export function idOf(kind: Kind, index: number): string {
  const hex = createHash('sha1').update(`${kind} ${index}`).digest('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join(
    '-',
  );
}

/** An aggregate before its first commit. */
export function unwritten(id: string): Member {
  return { stream: counterRef(id), folded: emptyFold(counter.initial) };
}

/** What accompanies each command: as long as what a traced HTTP request brings. */
export function newMeta(): CommandMeta {
  const commandId = randomUUID();
  return {
    commandId,
    fingerprint: createHash('sha256').update(commandId).digest(),
    actor: '6f1c2e0a-5b7d-4c39-9e55-0d9f6a7b8c21',
    traceparent: `00-${commandId.replaceAll('-', '')}-${commandId.slice(24)}0000-01`,
  };
}

/** Appends one commit of one event through the log, as the handler would on warm state. @throws when it is refused */
export async function appendOne(log: Log, { stream, folded }: Member): Promise<void> {
  const asked = { command: ADD, meta: newMeta(), expected: 'any' as const };
  const plan = planCommands(counter, folded, [asked], Date.now());
  const commit = create(CommitSchema, { commitId: randomUUID(), decisions: [...plan.decisions] });
  const result = await log.append(stream, folded.version, commit);
  if (!result.appended) throw new Error(`${stream.id} was changed by somebody else`);
  for (const decision of plan.decisions) rememberCommand(folded.commands, decision, result.version);
  folded.state = plan.state;
  folded.version = result.version;
}

/** Runs `work` on all items, up to `limit` at a time. @throws the first failure */
export async function inFlight<T>(
  limit: number,
  items: Iterable<T>,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const iterator = items[Symbol.iterator]();
  const worker = async (): Promise<void> => {
    for (let next = iterator.next(); next.done !== true; next = iterator.next()) await work(next.value);
  };
  await Promise.all(Array.from({ length: limit }, worker));
}
