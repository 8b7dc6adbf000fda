import { createHash } from 'node:crypto';
import type { DeadLetter } from './entry.ts';

/** Dead letters that came of the same thing: of one consumer, at the same kind of event, with the same error. */
export interface DeadLetterCause {
  /** Names it in a filter; the same for the same cause on every instance. */
  readonly cause: string;
  readonly consumer: string;
  /** What was being handled: the short names of the events. */
  readonly step: string;
  readonly error: { readonly name: string; readonly message: string };
  /** Dead letters that were tried. */
  readonly count: number;
  /** Commits that wait behind them, never tried. */
  readonly behind: number;
  /** Of these, how many are asked to be handled again or given up, and are not yet. */
  readonly requested: number;
  /** The most that one of them was tried. */
  readonly attempts: number;
  /** Of the first try of any and the last one, in milliseconds since the Unix epoch. */
  readonly firstAt: number;
  readonly lastAt: number;
  /** One of them, to look at. */
  readonly example: Pick<DeadLetter, 'consumer' | 'category' | 'id' | 'position'>;
}

const CAUSE_LENGTH = 16;

/** Ids, numbers and what stands in quotes differ from one dead letter to the next and say nothing of the cause. */
function withoutNames(message: string): string {
  return message
    .replace(/"[^"]*"|'[^']*'|`[^`]*`/g, '…')
    .replace(/\b[\w-]*\d[\w-]*\b/g, '#')
    .trim();
}

function stepOf({ events }: DeadLetter): string {
  const names = events.map(({ type }) => type.slice(type.lastIndexOf('.') + 1));
  return [...new Set(names)].join(', ');
}

/** Why it is a dead letter, as a short text that is the same for the same cause; undefined for one that only waits behind. */
export function causeOf(entry: DeadLetter): string | undefined {
  const { consumer, error } = entry;
  if (error === undefined) return undefined;
  const parts = [consumer, stepOf(entry), error.name, withoutNames(error.message)];
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, CAUSE_LENGTH);
}

/** The causes of these dead letters, the one with most of them first. */
export function groupByCause(entries: readonly DeadLetter[]): readonly DeadLetterCause[] {
  const causes = new Map<string, DeadLetterCause>();
  const firstOf = new Map<string, string>();
  const aggregateOf = ({ consumer, category, id }: DeadLetter) => `${consumer} ${category} ${id}`;
  for (const entry of entries) {
    const cause = causeOf(entry);
    if (cause === undefined) continue;
    if (!firstOf.has(aggregateOf(entry))) firstOf.set(aggregateOf(entry), cause);
    causes.set(cause, withEntry(causes.get(cause), cause, entry));
  }
  for (const entry of entries) {
    const cause = entry.error === undefined ? firstOf.get(aggregateOf(entry)) : undefined;
    const known = cause === undefined ? undefined : causes.get(cause);
    if (known !== undefined) causes.set(known.cause, { ...known, behind: known.behind + 1 });
  }
  return [...causes.values()].sort((a, b) => b.count - a.count || a.firstAt - b.firstAt);
}

function withEntry(known: DeadLetterCause | undefined, cause: string, entry: DeadLetter): DeadLetterCause {
  const { consumer, category, id, position, error, attempts, firstAt, lastAt, request } = entry;
  const { name = '', message = '' } = error ?? {};
  const example = { consumer, category, id, position };
  const first = { cause, consumer, step: stepOf(entry), error: { name, message }, behind: 0, example };
  const before = known ?? { ...first, count: 0, requested: 0, attempts: 0, firstAt, lastAt };
  return {
    ...before,
    count: before.count + 1,
    requested: before.requested + (request === undefined ? 0 : 1),
    attempts: Math.max(before.attempts, attempts),
    firstAt: Math.min(before.firstAt, firstAt),
    lastAt: Math.max(before.lastAt, lastAt),
  };
}
