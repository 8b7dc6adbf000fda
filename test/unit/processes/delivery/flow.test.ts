import { describe, expect, it } from 'vitest';
import {
  backlogOf,
  createFlow,
  type Flow,
  type HeldAggregate,
  type OpenEvent,
} from '../../../../src/processes/delivery/flow.ts';
import { type Deliverable, defaultDeliverySettings } from '../../../../src/processes/delivery/port.ts';
import { fixedRuntime } from '../../../support/memory-service.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

const { maxInFlight } = defaultDeliverySettings;

/** A flow whose receiver has taken enough to be trusted with many at once. */
function trusted(ordered = false): Flow {
  const flow = createFlow(fixedRuntime(), defaultDeliverySettings, () => ordered);
  flow.place('before', 'first', 0);
  for (let position = 1; position <= maxInFlight; position++) {
    flow.take('before', { position, subject: 'a' });
    for (const event of begun(flow, 0)) flow.taken(event, 0);
  }
  return flow;
}

/** One that has taken in events 1, 2, ... of these subjects. */
function flowOf(subjects: string, ordered = false): Flow {
  const flow = trusted(ordered);
  flow.place('orders', 'first', 0);
  for (const [index, subject] of [...subjects].entries())
    flow.take('orders', { position: index + 1, subject });
  return flow;
}

/** What is begun now. */
function begun(flow: Flow, now: number): OpenEvent[] {
  const events: OpenEvent[] = [];
  for (let event = flow.next(now); event !== undefined; event = flow.next(now)) events.push(event);
  return events;
}
/** Reads again what is held and free, of events 1, 2, ... of these subjects. */
function readAgain(flow: Flow, subjects: string, now: number): void {
  for (let held = flow.freed(now); held !== undefined; held = flow.freed(now)) {
    const { subject } = held;
    const wanted = [...subjects].flatMap((of, index) =>
      of === subject ? [eventOf(index + 1, subject)] : [],
    );
    flow.takeAgain(held, wanted, subjects.length);
  }
}
const eventOf = (position: number, subject: string): Deliverable => ({
  ...{ source: 'orders', position, id: `orders-${position}`, type: 'test.happened', subject, time: 0 },
  body: () => '{}',
});
const positions = (events: readonly OpenEvent[]): number[] => events.map(({ position }) => position);
const fail = (flow: Flow, event: OpenEvent, now: number, tried = {}) =>
  flow.failed(event, { taken: false, ...tried }, now, now);

describe('what is tried next', () => {
  it('is one at first, and one more for each that is taken, up to the bound', () => {
    const flow = createFlow(fixedRuntime(), defaultDeliverySettings, () => false);
    flow.place('orders', 'first', 0);
    for (let position = 1; position <= 200; position++) flow.take('orders', { position, subject: 'a' });
    const counts: number[] = [];
    for (let turn = 0; turn < 6; turn++) {
      const events = begun(flow, 1);
      counts.push(events.length);
      for (const event of events) flow.taken(event, 1);
    }
    expect(counts).toEqual([1, 2, 4, 8, maxInFlight, maxInFlight]);
  });

  it('is everything at once where no order is kept, and the first of each subject where it is', () => {
    expect(positions(begun(flowOf('aab'), 1))).toEqual([1, 2, 3]);
    expect(positions(begun(flowOf('aab', true), 1))).toEqual([1, 3]);
  });

  it('waits behind an earlier one of its subject that failed, and behind no other', () => {
    const flow = flowOf('aab', true);
    const [first, third] = begun(flow, 1) as [OpenEvent, OpenEvent];
    fail(flow, first, 1);
    flow.taken(third, 1);
    expect(positions(begun(flow, 2))).toEqual([]);
    flow.taken(begun(flow, HOUR_MS)[0] as OpenEvent, HOUR_MS);
    readAgain(flow, 'aab', HOUR_MS);
    expect(positions(begun(flow, HOUR_MS))).toEqual([2]);
  });

  it('is held behind one of its aggregate that fails: it is counted, takes no room, and is read again once that one is through', () => {
    const subjects = `${'a'.repeat(499)}b${'a'.repeat(300)}`;
    const flow = flowOf(subjects.slice(0, 500), true);
    expect(flow.hasRoom(1)).toBe(false);
    const [bad, other] = begun(flow, 1) as [OpenEvent, OpenEvent];
    flow.taken(other, 1);
    fail(flow, bad, 1);
    expect(flow.hasRoom(1)).toBe(true);
    for (let position = 501; position <= 800; position++) flow.take('orders', { position, subject: 'a' });
    expect(flow.size).toBe(799);
    expect(flow.stored().sources.orders?.open).toHaveLength(1);
    expect(flow.freed(1)).toBeUndefined();
    flow.drop(bad);
    const got: number[] = [];
    for (let turn = 0; turn < 800; turn++) {
      readAgain(flow, subjects, HOUR_MS);
      for (const event of begun(flow, HOUR_MS)) {
        if (event.subject === 'a') got.push(event.position);
        flow.taken(event, HOUR_MS);
      }
    }
    expect(got).toEqual(
      Array.from({ length: 799 }, (_, index) => index + 2).filter((position) => position !== 500),
    );
    expect([flow.size, flow.high('orders')]).toEqual([0, 800]);
  });

  it('is read again as far as there is room, and one event where there is none', () => {
    const flow = createFlow(fixedRuntime(), { ...defaultDeliverySettings, maxOpen: 3 }, () => true);
    flow.place('orders', 'first', 0);
    flow.take('orders', { position: 1, subject: 'a' });
    const [bad] = begun(flow, 1) as [OpenEvent];
    fail(flow, bad, 1);
    for (const [index, subject] of [...'aaabc'].entries())
      flow.take('orders', { position: index + 2, subject });
    expect([flow.size, flow.hasRoom(1)]).toEqual([6, false]);
    flow.drop(bad);
    const held = flow.freed(1) as HeldAggregate;
    flow.takeAgain(
      held,
      [2, 3, 4].map((position) => eventOf(position, 'a')),
      6,
    );
    expect(flow.stored().sources.orders).toMatchObject({
      high: 2,
      ahead: { high: 6, held: [['a', 2, 2]] },
    });
    expect(flow.freed(1)).toBeUndefined();
  });

  it('is one at a time, with growing pauses, once eight in a row have failed, and all of it once one is taken', () => {
    const flow = flowOf('abcdefghij');
    for (const event of begun(flow, 1)) fail(flow, event, 1);
    expect(flow.hasRoom(1)).toBe(false);
    expect(positions(begun(flow, 2))).toEqual([]);
    const later = begun(flow, 20_000);
    expect(positions(later)).toEqual([1]);
    flow.taken(later[0] as OpenEvent, 20_000);
    for (let event = flow.next(20_000); event !== undefined; event = flow.next(20_000))
      flow.taken(event, 20_000);
    expect(flow.size).toBe(0);
  });

  it('waits a second, and no minutes, after all that was under way failed at once', () => {
    const flow = flowOf('x'.repeat(maxInFlight));
    const before = begun(flow, 1);
    expect(before).toHaveLength(maxInFlight);
    for (const event of before) flow.failed(event, { taken: false }, 1, 2);
    expect(flow.stored().failures).toBe(8);
    expect(flow.stored().pausedUntil).toBeLessThanOrEqual(1_002);
    const next = flow.next(20_000) as OpenEvent;
    expect(flow.next(20_000)).toBeUndefined();
    fail(flow, next, 20_000);
    expect(flow.stored().failures).toBe(9);
  });

  it('is not delayed by one event that fails again and again', () => {
    const flow = flowOf('ab', true);
    const [bad, other] = begun(flow, 1) as [OpenEvent, OpenEvent];
    flow.taken(other, 1);
    fail(flow, bad, 1);
    for (let day = 1; day <= 20; day++) fail(flow, flow.next(day * DAY_MS) as OpenEvent, day * DAY_MS);
    expect(flow.stored()).toMatchObject({ failures: 1, pausedUntil: 20 * DAY_MS });
    flow.take('orders', { position: 3, subject: 'c' });
    expect(positions(begun(flow, 20 * DAY_MS))).toEqual([3]);
  });

  it('is nothing for as long as the receiver asked to be left alone', () => {
    const flow = flowOf('ab');
    fail(flow, flow.next(1) as OpenEvent, 1, { retryAfterMs: HOUR_MS });
    expect(positions(begun(flow, HOUR_MS))).toEqual([]);
    expect(positions(begun(flow, HOUR_MS + 1))).toEqual([1, 2]);
  });

  it('takes in no more than the bound, so that a receiver that is away keeps a place and no memory', () => {
    const flow = flowOf('x'.repeat(500));
    expect(flow.hasRoom(1)).toBe(false);
  });
});

describe('an event that fails for days', () => {
  const failed = (takenAt: number) => {
    const stored = { takenAt, failures: 0, pausedUntil: 0, sources: {} };
    const flow = createFlow(fixedRuntime(), defaultDeliverySettings, () => false, stored);
    flow.place('orders', 'first', 0);
    flow.take('orders', { position: 1, subject: 'a' });
    fail(flow, flow.next(1_000) as OpenEvent, 1_000);
    return fail(flow, flow.next(1_000 + 3 * DAY_MS) as OpenEvent, 1_000 + 3 * DAY_MS);
  };

  it('is given up where others were taken meanwhile', () => {
    expect(failed(2_000)).toBe('give-up');
  });

  it('says that the receiver fails where nothing was taken meanwhile: then nothing is given up', () => {
    expect(failed(500)).toBe('failing');
  });

  it('counts from the beginning once the receiver was enabled again', () => {
    const flow = flowOf('a');
    fail(flow, flow.next(1) as OpenEvent, 1);
    flow.renew(5 * DAY_MS);
    expect(fail(flow, flow.next(5 * DAY_MS) as OpenEvent, 5 * DAY_MS)).toBe('retry');
  });
});

it('a flow goes on from what was stored of it', () => {
  const flow = flowOf('aab', true);
  fail(flow, flow.next(1) as OpenEvent, 1);
  const again = createFlow(fixedRuntime(), defaultDeliverySettings, () => true, flow.stored());
  expect(again.stored()).toEqual(flow.stored());
  expect(again.high('orders')).toBe(3);
  again.taken(again.next(HOUR_MS) as OpenEvent, HOUR_MS);
  readAgain(again, 'aab', HOUR_MS);
  expect(positions(begun(again, HOUR_MS))).toEqual([3, 2]);
});

it('what is stored of a flow with held aggregates loses nothing in a version that does not know them', () => {
  const flow = flowOf('abaab', true);
  const [bad, other] = begun(flow, 1) as [OpenEvent, OpenEvent];
  fail(flow, bad, 1);
  flow.taken(other, 1);
  const { ahead, ...known } = flow.stored().sources.orders ?? { high: 0, incarnation: '', open: [] };
  expect(ahead).toEqual({ high: 5, held: [['a', 1, 2]] });
  // It reads on from here, and has open what is before.
  expect([known.high, known.open.map(([position]) => position)]).toEqual([1, [1, 5]]);
});

describe('how far a receiver is behind', () => {
  const heads = new Map([['orders', 100]]);
  const behind = (flow: Flow, isEnabled = true, now = 1) =>
    backlogOf(flow.stored(), heads, isEnabled, { now, maxOpen: 500 });

  it('is what it has read and not delivered; what is not for it does not count while it reads on', () => {
    const flow = flowOf('aab');
    const [first, second] = begun(flow, 1) as [OpenEvent, OpenEvent];
    flow.taken(first, 1);
    fail(flow, second, 1);
    expect(behind(flow)).toEqual({
      ...{ open: 2, retrying: 1, attempts: 1, unread: 0 },
      first: [{ source: 'orders', position: 2 }],
    });
    expect(behind(flowOf(''))).toMatchObject({ open: 0, unread: 0, first: [] });
  });

  it('is also what it does not read on to: disabled, not answering, or with enough to do', () => {
    expect(behind(flowOf(''), false)).toMatchObject({ unread: 100, first: [{ source: 'orders', after: 0 }] });
    expect(behind(flowOf('a'.repeat(16)))).toMatchObject({ open: 16, unread: 84 });
    const held = flowOf('aaa', true);
    fail(held, begun(held, 1)[0] as OpenEvent, 1);
    expect(behind(held)).toMatchObject({ open: 3, unread: 0, first: [{ source: 'orders', position: 1 }] });
    expect(behind(held, false)).toMatchObject({ open: 3, unread: 97 });
    const down = flowOf('a'.repeat(8));
    for (const event of begun(down, 1)) fail(down, event, 1);
    expect(behind(down)).toMatchObject({ open: 8, attempts: 1, unread: 92 });
  });
});
