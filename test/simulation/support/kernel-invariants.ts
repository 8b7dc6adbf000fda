import type { Int32Value } from '@bufbuild/protobuf/wkt';
import type { CommandResult } from '../../../src/eventstore/command.ts';
import type { CommitAllResult } from '../../../src/eventstore/commit-all.ts';
import type { Rejection } from '../../../src/eventstore/decider.ts';
import type { MemoryStore } from '../../../src/testing/memory-log.ts';
import { type Histories, historiesOf, type StoredDecision } from './kernel-history.ts';
import { type AccountCommand, account, type KernelOp } from './kernel-scenario.ts';

/** A request as its client sent it, the same at every try. */
export interface Asked {
  readonly op: KernelOp;
  readonly commandId: string;
  /** What `If-Match` says, where the op wants one. */
  readonly version: number | undefined;
  /** What the fingerprint is made of. */
  readonly body: string;
}

export type KernelAnswer = CommandResult<number, Int32Value, Rejection> | CommitAllResult;

/** One try of a request. The window is the part of the log that grew while it lasted. */
export interface Attempt {
  readonly asked: Asked;
  readonly from: number;
  readonly to: number;
  readonly end: { readonly answer: KernelAnswer } | { readonly failed: string } | { readonly lost: true };
}

/** Reads the whole log and returns everything in it, or told about it, that must not be; empty = all is well. */
export function violationsOf(store: MemoryStore, attempts: readonly Attempt[]): string[] {
  const asked = new Map<string, Asked>();
  for (const attempt of attempts) {
    asked.set(attempt.asked.commandId, attempt.asked);
  }
  const log = historiesOf(store);
  return [
    ...log.decisions.flatMap((decision) => illegal(decision, asked.get(decision.commandId))),
    ...[...asked.values()].flatMap((each) => storedBadly(log, each)),
    ...attempts.flatMap((attempt) => untrue(log, attempt)),
    ...refusedButThere(log, attempts),
  ];
}

/** A read that must see everything that was acknowledged before it. The window is the part of the log that grew meanwhile. */
export interface ConfirmedRead {
  readonly id: string;
  readonly from: number;
  readonly to: number;
  readonly version: number;
  readonly balance: number;
}

/** Confirmed reads that were told what was true at no moment of their call. */
export function untrueReads(store: MemoryStore, reads: readonly ConfirmedRead[]): string[] {
  const log = historiesOf(store);
  return reads
    .filter(
      ({ id, from, to, version, balance }) =>
        !log.within(id, from, to).some((moment) => moment.version === version && moment.balance === balance),
    )
    .map(
      ({ id, from, to, version }) =>
        `${id} was read at ${version}, which it was not between ${from} and ${to}`,
    );
}

/** A decision that is not what its command comes to on the state that it was appended on. */
function illegal(decision: StoredDecision, asked: Asked | undefined): string[] {
  const { id, position, previous, before, born, by, alone } = decision;
  const name = `${decision.commandId} at ${position}`;
  if (asked === undefined) return [`${name} was never asked`];
  const outcome = account.decide(commandOn(asked.op, id), before);
  const expected = Array.isArray(outcome) ? outcome.map((event: Int32Value) => event.value) : ['rejected'];
  const found: string[] = [];
  if (JSON.stringify(expected) !== JSON.stringify(by))
    found.push(`${name} is illegal on a balance of ${before}`);
  if (asked.op.type === 'all') return found;
  if (asked.op.expected === 'none' && born) found.push(`${name} expected none`);
  if (asked.op.expected === 'exists' && !born) found.push(`${name} expected one`);
  if (asked.version !== undefined && (asked.version !== previous || !alone)) {
    found.push(`${name} expected the version ${asked.version} and was decided on another`);
  }
  return found;
}

/** A command that is stored twice, or half. */
function storedBadly(log: Histories, { commandId, op }: Asked): string[] {
  const stored = log.decisions.filter((d) => d.commandId === commandId);
  const whole = op.type === 'all' ? 2 : 1;
  const places = new Set(stored.map((d) => d.id));
  if (stored.length !== places.size) return [`${commandId} is stored twice`];
  if (stored.length > 0 && stored.length !== whole) return [`${commandId} is half there`];
  return new Set(stored.map((d) => d.commitId)).size > 1 ? [`${commandId} is in two commits`] : [];
}

/** An answer that was not true at any moment of its call. */
function untrue(log: Histories, attempt: Attempt): string[] {
  if (!('answer' in attempt.end)) return [];
  const { answer } = attempt.end;
  const { asked } = attempt;
  const name = `${asked.commandId} was told ${answer.outcome}`;
  const stored = log.decisions.filter((d) => d.commandId === asked.commandId);
  const reused = stored.some((d) => d.body !== asked.body);
  switch (answer.outcome) {
    case 'accepted':
      if (reused) return [`${name} although its key was used with another body`];
      return 'versions' in answer
        ? sameAs(
            name,
            answer.versions,
            placesOf(asked.op).map((id) => stored.find((d) => d.id === id)?.position),
          )
        : sameAs(name, [answer.version, answer.state, answer.events.map((e) => e.value)], toldOf(stored[0]));
    case 'key-reused':
      return reused ? [] : [`${name} and did not reuse it`];
    case 'unchanged':
      return holdsSomewhere(
        log,
        attempt,
        (command, balance) => isEmpty(account.decide(command, balance)),
        name,
      );
    case 'rejected':
      return holdsSomewhere(
        log,
        attempt,
        (command, balance) => !Array.isArray(account.decide(command, balance)),
        name,
      );
    case 'conflict':
      return conflictHolds(log, attempt) ? [] : [name];
  }
}

const isEmpty = (outcome: unknown): boolean => Array.isArray(outcome) && outcome.length === 0;

const toldOf = (d: StoredDecision | undefined): unknown => d && [d.position, d.after, d.by];

function sameAs(name: string, told: unknown, stored: unknown): string[] {
  const [one, two] = [JSON.stringify(told), JSON.stringify(stored)];
  return one === two ? [] : [`${name} ${one} and the log says ${two}`];
}

function holdsSomewhere(
  log: Histories,
  { asked, from, to }: Attempt,
  holds: (command: AccountCommand, balance: number) => boolean,
  name: string,
): string[] {
  const somewhere = placesOf(asked.op).some((id) =>
    log.within(id, from, to).some((moment) => holds(commandOn(asked.op, id), moment.balance)),
  );
  return somewhere ? [] : [`${name} and no state between ${from} and ${to} says so`];
}

function conflictHolds(log: Histories, { asked, from, to }: Attempt): boolean {
  // Whoever expects nothing cannot be in conflict: a lost race is decided again until the deadline.
  if (asked.op.type === 'all' || asked.op.expected === 'any') return false;
  const { id, expected } = asked.op;
  return log.within(id, from, to).some(({ version, born }) => {
    if (expected === 'none') return born;
    return expected === 'exists' ? !born : version !== asked.version;
  });
}

/** Whatever was refused or failed every time, and was never in doubt, must not be in the log. */
function refusedButThere(log: Histories, attempts: readonly Attempt[]): string[] {
  const maybe = new Set(attempts.filter(({ end }) => mayBeStored(end)).map((a) => a.asked.commandId));
  return log.decisions
    .filter((d) => !maybe.has(d.commandId))
    .map((d) => `${d.commandId} was refused and is stored at ${d.position}`);
}

const mayBeStored = (end: Attempt['end']): boolean =>
  'lost' in end ||
  ('failed' in end && end.failed === 'log/outcome-unknown') ||
  ('answer' in end && end.answer.outcome === 'accepted');

export const placesOf = (op: KernelOp): string[] => (op.type === 'all' ? [op.from, op.to] : [op.id]);

function commandOn(op: KernelOp, id: string): AccountCommand {
  if (op.type === 'one') return op.command;
  return { kind: 'add', by: id === op.from ? -op.amount : op.amount };
}
