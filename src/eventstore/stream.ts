import { InvalidId } from './errors.ts';

/** Names the events of one aggregate. */
export interface StreamRef {
  /** The aggregate's kind, for example `order`. */
  readonly category: string;
  /** The aggregate's id within its category. */
  readonly id: string;
}

/** The name of an aggregate within one process and in messages to people. */
export function keyOf(stream: StreamRef): string {
  return `${stream.category}/${stream.id}`;
}

/** How many slots there are; fixed for ever, since the slot is part of every stored subject. @internal */
export const SLOTS = 64;

/** The log's own stream of skip marks; no aggregate has such a category. */
export const MARKS: StreamRef = { category: '', id: 'marks' };

const isMarks = ({ category, id }: StreamRef): boolean => category === MARKS.category && id === MARKS.id;

const ID = /^[A-Za-z0-9_-]{1,128}$/;
const CATEGORY = /^[a-z][a-z0-9_]{0,31}$/;

/**
 * Refuses ids that could form a wildcard, leave their subject token, or be mistaken for a key's separator.
 * The server itself would store a literal `*`.
 */
export function checkStream(stream: StreamRef): StreamRef {
  if (isMarks(stream)) return stream;
  if (!CATEGORY.test(stream.category)) {
    throw new InvalidId(
      'category',
      stream.category,
      'a to z, digits and _, starting with a letter, at most 32',
    );
  }
  if (!ID.test(stream.id)) {
    throw new InvalidId(`${stream.category} id`, stream.id, '1 to 128 of A-Z, a-z, 0-9, - and _');
  }
  return stream;
}

/**
 * The slot of an aggregate id: FNV-1a over its UTF-16 units (ids are ASCII), mixed once more, modulo 64.
 * Stored in every subject, so it can never change.
 * @internal
 */
export function slotOf(id: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < id.length; i++) {
    hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193);
  }
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  return (hash >>> 0) % SLOTS;
}

/** A slot as the three base-4 digits of its subject, so that 1, 4, 16 or 64 groups are one wildcard each. */
export function slotDigits(slot: number): string {
  return `${slot >> 4}.${(slot >> 2) & 3}.${slot & 3}`;
}

/** The exact subject of an aggregate, `<prefix>.<category>.<d1>.<d2>.<d3>.<id>`, or of the marks. */
export function subjectOf(prefix: string, stream: StreamRef): string {
  checkStream(stream);
  if (isMarks(stream)) return controlSubject(prefix, 'marks');
  return `${prefix}.${stream.category}.${slotDigits(slotOf(stream.id))}.${stream.id}`;
}

/** The aggregate that a subject of the log names, or the marks; the prefix holds no dot. @internal */
export function streamOfSubject(subject: string): StreamRef {
  const first = subject.indexOf('.');
  const second = subject.indexOf('.', first + 1);
  if (second < 0) return { category: '', id: subject.slice(first + 1) };
  return { category: subject.slice(first + 1, second), id: subject.slice(subject.lastIndexOf('.') + 1) };
}

/**
 * The log's own messages, which belong to no aggregate: proofs of reads, and marks of operators. Stored for ever.
 * @internal
 */
export type Control = 'fence' | 'marks';

/**
 * Where the log's own messages of a kind lie: shorter than the subject of any aggregate, under the same prefix.
 * @internal
 */
export function controlSubject(prefix: string, control: Control): string {
  return `${prefix}.${control}`;
}

const TOKENS_OF_AGGREGATE = 6;

/** Whether a message of the log is its own: every reader passes it, as a position without a commit. @internal */
export function isControl(subject: string): boolean {
  let dot = -1;
  for (let tokens = 1; tokens < TOKENS_OF_AGGREGATE; tokens++) {
    dot = subject.indexOf('.', dot + 1);
    if (dot < 0) return true;
  }
  return false;
}

/** A share of the slots: group `index` of `count`. */
export interface SlotGroup {
  readonly count: 1 | 4 | 16 | 64;
  readonly index: number;
}

/** Which part of the log a reader wants; nothing means all of it. */
export interface LogFilter {
  readonly category?: string;
  /** One aggregate of the category. */
  readonly id?: string;
  readonly group?: SlotGroup;
}

/** The group that owns a slot: its leading base-4 digits. @internal */
export function groupOfSlot(slot: number, count: SlotGroup['count']): number {
  return Math.floor(slot / (SLOTS / count));
}

/** Whether a filter lets an aggregate through. */
export function matchesFilter(filter: LogFilter, stream: StreamRef): boolean {
  if (filter.category !== undefined && filter.category !== stream.category) return false;
  if (filter.id !== undefined && filter.id !== stream.id) return false;
  const group = filter.group;
  return group === undefined || groupOfSlot(slotOf(stream.id), group.count) === group.index;
}

/** Every aggregate and nothing of the log's own. Slower to read than the whole log. */
export function aggregatesFilter(prefix: string): string {
  return `${prefix}.*.*.*.*.>`;
}

/** A filter as the one wildcard subject that the server understands. */
export function subjectFilter(prefix: string, filter: LogFilter): string {
  const { category, id, group } = filter;
  if (category !== undefined && id !== undefined) return subjectOf(prefix, { category, id });
  if (group === undefined || group.count === 1) {
    return category === undefined ? `${prefix}.>` : `${prefix}.${category}.>`;
  }
  const digits = group.count === 4 ? 1 : group.count === 16 ? 2 : 3;
  const slot = group.index * (SLOTS / group.count);
  return [prefix, category ?? '*', ...slotDigits(slot).split('.').slice(0, digits), '>'].join('.');
}
