import { AssertionError } from 'node:assert/strict';
import { describe, expect, it } from 'vitest';
import type { Projection } from '../../../src/projections/engine/projection.ts';
import { added, type CounterEvent, counter, counterRef, noted } from '../../../src/testing/contracts/toy.ts';
import { given, givenCommits } from '../../../src/testing/given.ts';

describe('given events of an aggregate', () => {
  it('says what a command comes to, and to which state', () => {
    given(counter, added(3))
      .when({ kind: 'add', by: 2 })
      .thenEvents(added(2))
      .thenState({ total: 5, notes: [] });
    given(counter, noted('a')).when({ kind: 'note', text: 'a' }).thenNothing();
    given(counter).when({ kind: 'add', by: -1 }).thenRejected('counter/below-zero');
    expect(given(counter, added(1), noted('x')).state).toEqual({ total: 1, notes: ['x'] });
  });

  it('fails when it is otherwise, and shows what was said instead', () => {
    const outcome = given(counter, added(3)).when({ kind: 'add', by: 2 });
    expect(() => outcome.thenEvents(added(1))).toThrow(AssertionError);
    expect(() => outcome.thenEvents()).toThrow(AssertionError);
    expect(() => outcome.thenNothing()).toThrow(AssertionError);
    expect(() => outcome.thenState({ total: 4, notes: [] })).toThrow(AssertionError);
    expect(() => outcome.thenRejected('counter/below-zero')).toThrow(
      /accepted with google.protobuf.Int32Value/,
    );
    const refused = given(counter).when({ kind: 'add', by: -1 });
    expect(() => refused.thenEvents(added(1))).toThrow(/rejected with counter\/below-zero/);
    expect(() => refused.thenRejected('counter/other')).toThrow(AssertionError);
    expect(() => refused.thenRejected('counter/below-zero', { missing: 1 })).toThrow(AssertionError);
  });

  it('finds a decider that changes its state', () => {
    const careless: typeof counter = {
      ...counter,
      evolve: (state, event) => {
        (state.notes as string[]).push(String(event.value));
        return state;
      },
    };
    expect(() => given(careless, noted('a'))).toThrow(TypeError);
  });
});

interface Row {
  readonly total: number;
  readonly last: string;
}

const totals: Projection<Row, CounterEvent> = {
  name: 'totals',
  version: 1,
  sources: [counter],
  crossesAggregates: false,
  keyOf: (_event, { stream }) => stream.id,
  evolve: (row, event, { actor, time }) => {
    if (event.$typeName === 'google.protobuf.StringValue') return event.value === 'gone' ? undefined : row;
    return { total: (row?.total ?? 0) + event.value, last: `${actor} ${time}` };
  },
};

describe('given commits', () => {
  const stream = counterRef('a');

  it('says which rows a view has', () => {
    givenCommits(
      totals,
      { stream, events: [added(1), added(2)], time: 5, actor: 'ada' },
      { stream: { category: 'other', id: 'b' }, events: [noted('x')] },
    )
      .thenRow('a', { total: 3, last: 'ada 5' })
      .thenNoRow('b');
    givenCommits(totals, { stream, events: [added(1)] }, { stream, events: [noted('gone')] }).thenNoRow('a');
  });

  it('fails for another row, a row too many, and a row that JSON does not keep', () => {
    const rows = givenCommits(totals, { stream, events: [added(1)], time: 5 });
    expect(() => rows.thenRow('a', { total: 2, last: 'test 5' })).toThrow(AssertionError);
    expect(() => rows.thenNoRow('a')).toThrow(AssertionError);
    const dated = { ...totals, evolve: () => ({ total: new Date(0), last: '' }) } as unknown as typeof totals;
    expect(() => givenCommits(dated, { stream, events: [added(1)] })).toThrow(/JSON does not keep/);
  });
});
