import type { Message } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { codecOf } from '../../../src/eventstore/codec/event-codec.ts';
import { WITHOUT_KEYS } from '../../../src/eventstore/personal/personal-data.ts';
import { positionOf } from '../../../src/eventstore/position.ts';
import type { EventContext, Projection } from '../../../src/projections/engine/projection.ts';
import { views } from '../../../src/service/shop.ts';
import { anyEventOf } from '../../../src/testing/properties.ts';

const KEY = { number: 1, key: new Uint8Array(32).fill(1), until: Number.POSITIVE_INFINITY };
const keys = { get: () => KEY };

interface Given {
  readonly source: Projection['sources'][number];
  readonly id: string;
  readonly event: Message;
}

/** The rows after events that were stored, sealed or not, as JSON. */
function rowsAfter(view: Projection, given: readonly Given[], isSealed: boolean): Map<string, unknown> {
  const rows = new Map<string, unknown>();
  for (const [index, { source, id, event }] of given.entries()) {
    const codec = codecOf(source);
    const stored = codec.decode(codec.encode(event, isSealed ? { id, keys } : undefined), id);
    const context: EventContext = {
      stream: { category: source.category, id },
      position: positionOf(index + 1),
      time: index,
      commitId: `c${index}`,
      actor: 'test',
      traceparent: '',
    };
    const key = view.keyOf(stored, context);
    if (key === undefined) continue;
    const row = view.evolve(rows.get(key), stored, context);
    rows.set(key, row === undefined ? undefined : JSON.parse(JSON.stringify(row)));
  }
  return rows;
}

const BITS = 40;

/** Views take times for those of a calendar, and amounts for exact numbers. */
function bounded<T>(value: T): T {
  if (typeof value === 'bigint') return BigInt.asUintN(BITS, value) as T;
  if (Array.isArray(value)) return value.map(bounded) as T;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, bounded(field)])) as T;
}

/** Whether everybody whom an event is about is named; others are never stored. */
function isStored({ source, id, event }: Given): boolean {
  try {
    codecOf(source).persons(event, id);
    return true;
  } catch {
    return false;
  }
}

test.each(views.map((view) => [view.name, view] as const))(
  'the rows of %s, sealed and then opened, are those of the same events in plain',
  (_name, view) => {
    const of = (source: Given['source']) =>
      fc.record({
        source: fc.constant(source),
        id: fc.constantFrom('a', 'b'),
        event: anyEventOf(source).map(bounded),
      });
    const history = fc.array(fc.oneof(...view.sources.map(of)), { maxLength: 12 });
    fc.assert(
      fc.property(history, (all) => {
        const given = all.filter(isStored);
        const sealed = rowsAfter(view, given, true);
        const opened = WITHOUT_KEYS.openNow(sealed, keys);
        expect(opened.lacking).toBeUndefined();
        expect(opened.value).toEqual(rowsAfter(view, given, false));
      }),
    );
  },
);
