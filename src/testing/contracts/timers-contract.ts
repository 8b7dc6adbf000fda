import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { InvalidId } from '../../eventstore/errors.ts';
import type { Timer, Timers } from '../../processes/engine/timers/timers.ts';
import { until } from '../until.ts';

/** Two processes' handles on the same timers. They must retry within a few hundred milliseconds. */
export interface TimersUnderTest {
  readonly timers: Timers;
  readonly second: Timers;
  stop(): Promise<void>;
}

export type Fired = Timer & { readonly attempt: number };

/** Collects what is delivered; `fail` decides which deliveries throw. */
export function collecting(timers: Timers, fail: (fired: Fired) => boolean = () => false) {
  const fired: Fired[] = [];
  const delivery = timers.deliver(async (timer) => {
    fired.push(timer);
    if (fail(timer)) throw new Error('this handler fails');
  });
  const of = (id: string): Fired[] => fired.filter((timer) => timer.id === id);
  return {
    fired,
    of,
    waitFor: (id: string) => until(`the timer ${id} has fired`, () => of(id).length > 0),
    stop: delivery.stop,
    [Symbol.asyncDispose]: delivery.stop,
  };
}

/** What every implementation of `Timers` promises; times are those of the real clock. */
export function timersContract(name: string, start: () => Promise<TimersUnderTest>): void {
  describe(name, () => {
    let current: TimersUnderTest | undefined;
    beforeAll(async () => {
      current = await start();
    });
    afterAll(async () => {
      await current?.stop();
    });
    rules(() => {
      if (current === undefined) throw new Error('the timers did not start');
      return current;
    });
  });
}

const KIND = 'reminder';

function rules(use: () => TimersUnderTest): void {
  const arm = (id: string, at: number, kind = KIND) => use().timers.arm({ kind, id, at });

  it('fires once, not before its time, with what it was armed with', async () => {
    await using seen = collecting(use().timers);
    const at = Date.now() + 300;
    await arm('once', at);
    await seen.waitFor('once');
    expect(Date.now()).toBeGreaterThanOrEqual(at);
    await arm('after-once', Date.now());
    await seen.waitFor('after-once');
    expect(seen.of('once')).toEqual([{ kind: KIND, id: 'once', at, attempt: 1 }]);
  });

  it('fires at once when its time has passed', async () => {
    await using seen = collecting(use().timers);
    const at = Date.now() - 86_400_000;
    await arm('past', at);
    await seen.waitFor('past');
    expect(seen.of('past')).toMatchObject([{ at }]);
  });

  it('replaces the earlier one of its kind and id, to later and to sooner', async () => {
    await using seen = collecting(use().timers);
    const now = Date.now();
    await arm('later', now + 800);
    await use().second.arm({ kind: KIND, id: 'later', at: now + 1_600 });
    await arm('sooner', now + 3_600_000);
    await use().second.arm({ kind: KIND, id: 'sooner', at: now + 400 });
    await seen.waitFor('later');
    expect(seen.of('sooner')).toMatchObject([{ at: now + 400 }]);
    expect(seen.of('later')).toMatchObject([{ at: now + 1_600 }]);
  });

  it('does not fire once it is disarmed, by whomever, and can be armed again', async () => {
    await using seen = collecting(use().timers);
    const at = Date.now() + 800;
    await arm('disarmed', at);
    await arm('disarmed', at, 'other-kind');
    await arm('rearmed', at);
    await use().second.disarm(KIND, 'disarmed');
    await use().second.disarm(KIND, 'rearmed');
    await arm('rearmed', at + 200);
    await arm('sentinel', at + 600);
    await seen.waitFor('sentinel');
    expect(seen.of('disarmed')).toMatchObject([{ kind: 'other-kind' }]);
    expect(seen.of('rearmed')).toMatchObject([{ at: at + 200 }]);
  });

  it('need not be there to be disarmed', async () => {
    await expect(use().timers.disarm(KIND, 'nobody-armed-this')).resolves.toBeUndefined();
  });

  it('fires again when it is armed again after it has fired', async () => {
    await using seen = collecting(use().timers);
    const at = Date.now();
    await arm('again', at);
    await seen.waitFor('again');
    await arm('again', at);
    await until('it fired twice', () => seen.of('again').length === 2);
  });

  it('is given to a handler that throws again and again, and does not hold up the others', async () => {
    await using seen = collecting(use().timers, ({ id, attempt }) => id === 'failing' && attempt < 3);
    await arm('failing', Date.now());
    await seen.waitFor('failing');
    await arm('beside', Date.now());
    await seen.waitFor('beside');
    await until('the third attempt', () => seen.of('failing').length === 3);
    expect(seen.of('failing').map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
  });

  it('is handled by one of the instances that share it', async () => {
    await using first = collecting(use().timers);
    await using second = collecting(use().second);
    const ids = Array.from({ length: 20 }, (_, i) => `shared-${i}`);
    await Promise.all(ids.map((id) => arm(id, Date.now() + 200)));
    const all = (): string[] => [...first.fired, ...second.fired].map(({ id }) => id);
    await until('all have fired', () => ids.every((id) => all().includes(id)));
    await arm('after-shared', Date.now());
    await until('one more has fired', () => all().includes('after-shared'));
    expect(all().sort()).toEqual([...ids, 'after-shared'].sort());
  });

  it('is left for the next instance by one that stopped', async () => {
    const first = collecting(use().timers);
    await first.stop();
    await arm('left', Date.now());
    await using second = collecting(use().second);
    await second.waitFor('left');
    expect(first.fired).toEqual([]);
  });

  it('stops only after the handlers that are under way', async () => {
    let finish = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const steps: string[] = [];
    const delivery = use().timers.deliver(async () => {
      steps.push('began');
      await held;
      steps.push('ended');
    });
    await arm('held', Date.now());
    await until('the handler began', () => steps.length > 0);
    const stopped = delivery.stop().then(() => steps.push('stopped'));
    finish();
    await stopped;
    expect(steps).toEqual(['began', 'ended', 'stopped']);
  });

  it('refuses names that could be more than one token of a subject', async () => {
    for (const id of ['a.b', '*', '>', '', 'a b']) {
      await expect(arm(id, Date.now())).rejects.toThrow(InvalidId);
      await expect(use().timers.disarm(KIND, id)).rejects.toThrow(InvalidId);
    }
    await expect(arm('ok', Date.now(), 'a.b')).rejects.toThrow(InvalidId);
  });
}
