import { AssertionError } from 'node:assert/strict';
import { describe, expect, it } from 'vitest';
import { command, type Process } from '../../../src/processes/engine/process.ts';
import {
  added,
  type CounterEvent,
  type CounterState,
  counter,
  noted,
} from '../../../src/testing/contracts/toy.ts';
import { givenProcess } from '../../../src/testing/given-process.ts';

const note = (text: string) => command(counter, 'a', { kind: 'note', text }, text);

/** A number starts it, the note "end" ends it, the note "other" is none of its business. */
const process: Process<CounterEvent, CounterState> = {
  name: 'toy',
  sources: [counter],
  from: 'beginning',
  state: counter,
  route: (event, { id }) => {
    if (event.$typeName === 'google.protobuf.Int32Value') return { as: 'start', id };
    return event.value === 'other' ? undefined : { as: event.value === 'end' ? 'end' : 'continue', id };
  },
  react: (_event, { total }, { time }) => [{ type: 'arm', timer: 'alarm', at: time + total }],
  compensate: () => [note('given back')],
  timers: { alarm: ({ total }) => [note(`${total} at the alarm`)] },
};

describe('given events of a process', () => {
  it('says what follows from an event, on the state of then', () => {
    const given = givenProcess(process, added(3));
    given.when(added(3), { time: 10 }).thenEffects({ type: 'arm', timer: 'alarm', at: 13 });
    given
      .when(noted('end'))
      .thenEffects(
        note('given back'),
        { type: 'disarm', timer: 'alarm' },
        { type: 'arm', timer: 'alarm', at: 3 },
      );
    given.whenTimer('alarm').thenEffects(note('3 at the alarm'));
    expect(given.state).toEqual({ total: 3, notes: [] });
  });

  it('tells what is not routed, and what comes too early', () => {
    givenProcess(process, added(3)).when(noted('other')).thenNotRouted();
    givenProcess(process).when(noted('x')).thenTriedLater();
    givenProcess(process).when(added(1)).thenEffects({ type: 'arm', timer: 'alarm', at: 0 });
  });

  it('fails when it is otherwise, and refuses a timer that there is not', () => {
    const given = givenProcess(process, added(3));
    expect(() => given.when(added(3)).thenEffects()).toThrow(AssertionError);
    expect(() => given.when(added(3)).thenNotRouted()).toThrow(AssertionError);
    expect(() => given.when(noted('other')).thenEffects()).toThrow(/the event is not routed/);
    expect(() => given.when(noted('other')).thenTriedLater()).toThrow(AssertionError);
    expect(() => given.whenTimer('nosuch')).toThrow('The process toy has no timer nosuch.');
  });
});
