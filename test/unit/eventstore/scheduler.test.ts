import { describe, expect, it } from 'vitest';
import { createWorld, ScheduleError, type World } from '../../../src/testing/world.ts';

/** Three actors of four steps each; returns the order in which they went on. */
async function race(world: World): Promise<string> {
  const order: string[] = [];
  const actor = async (name: string): Promise<void> => {
    for (let i = 0; i < 4; i++) {
      await world.step(`${name}${i}`, name);
      order.push(`${name}${i}`);
    }
  };
  await world.run(async () => {
    await Promise.all([actor('a'), actor('b'), actor('c')]);
  });
  return order.join(' ');
}

/** An await chain of any length between two steps. */
async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await undefined;
}

describe('a schedule', () => {
  it('is the same for the same seed, whatever happens', async () => {
    const faults = { delay: 0.3, crash: 0.1 };
    for (let seed = 0; seed < 50; seed++) {
      const traces: string[][] = [];
      for (let repeat = 0; repeat < 2; repeat++) {
        const world = createWorld(seed, { faults });
        await world.run(() =>
          Promise.all(
            ['a', 'b', 'c'].map((name) =>
              world.spawn(name, async (runtime) => {
                for (let i = 0; i < 5; i++) {
                  await world.step(`work ${runtime.id()} ${runtime.random()} ${runtime.now()}`, name);
                  await turns(i * 3);
                  await runtime.sleep(runtime.random() * 100);
                }
              }),
            ),
          ),
        );
        traces.push(world.trace());
      }
      expect(traces[0]).toEqual(traces[1]);
    }
  });

  it('differs between seeds, and reaches very different orders', async () => {
    const orders = new Set<string>();
    for (let seed = 0; seed < 500; seed++) orders.add(await race(createWorld(seed)));
    expect(orders.size).toBeGreaterThan(480);
  });

  it('reaches every order of three steps about equally often', async () => {
    const counts = new Map<string, number>();
    for (let seed = 0; seed < 3000; seed++) {
      const world = createWorld(seed);
      const order: string[] = [];
      const one = async (name: string): Promise<void> => {
        await world.step(name, name);
        order.push(name);
      };
      await world.run(() => Promise.all(['a', 'b', 'c'].map(one)));
      counts.set(order.join(''), (counts.get(order.join('')) ?? 0) + 1);
    }
    expect(counts.size).toBe(6);
    for (const count of counts.values()) expect(count).toBeGreaterThan(400);
  });

  it('goes on only after everything that the last step set off has come to rest, however long its chain', async () => {
    for (const length of [0, 1, 10, 1000, 20_000]) {
      const world = createWorld(1);
      let atWork = 0;
      const actor = async (name: string): Promise<void> => {
        for (let i = 0; i < 3; i++) {
          await world.step('begin', name);
          expect(++atWork).toBe(1);
          await turns(length);
          atWork--;
        }
      };
      await world.run(() => Promise.all([actor('a'), actor('b'), actor('c')]));
      expect(world.trace()).toHaveLength(9);
    }
  });
});

describe('the virtual clock', () => {
  it('stands still while anybody can go on, and then jumps to the next timer', async () => {
    const world = createWorld(3, { startMs: 1000 });
    const log: string[] = [];
    const runtime = world.runtime('a');
    await world.run(async () => {
      const slow = runtime.sleep(5000).then(() => log.push(`slow ${runtime.now()}`));
      const fast = runtime.sleep(10).then(() => log.push(`fast ${runtime.now()}`));
      await world.step('work', 'b');
      log.push(`work ${world.now()}`);
      await Promise.all([slow, fast]);
    });
    expect(log).toEqual(['work 1000', 'fast 1010', 'slow 6000']);
  });

  it('lets timers overtake operations that are delayed', async () => {
    const firsts = new Set<string>();
    for (let seed = 0; seed < 50; seed++) {
      const world = createWorld(seed, { faults: { delay: 0.5 } });
      firsts.add(
        await world.run(() =>
          Promise.race([
            world.step('work', 'a').then(() => 'work'),
            world
              .runtime('b')
              .sleep(500)
              .then(() => 'timer'),
          ]),
        ),
      );
    }
    expect(firsts).toEqual(new Set(['work', 'timer']));
  });
});

describe('a crash', () => {
  it('stops an actor where it is, for ever, and tells who started it', async () => {
    const world = createWorld(5);
    const log: string[] = [];
    const fate = await world.run(async () => {
      const started = world.spawn('a', async (runtime) => {
        await runtime.sleep(10);
        log.push('first');
        await runtime.sleep(10);
        log.push('never');
      });
      await world.runtime('main').sleep(15);
      world.crash('a');
      const result = await started;
      await world.runtime('main').sleep(1000);
      return result;
    });
    expect(fate).toEqual({ crashed: true });
    expect(log).toEqual(['first']);
  });

  it('strikes at every step of a spawned actor for some seed, and at nobody else', async () => {
    const reached = new Set<number>();
    for (let seed = 0; seed < 300; seed++) {
      const world = createWorld(seed, { faults: { crash: 0.2 } });
      let at = 0;
      const fate = await world.run(async () => {
        await world.step('not spawned', 'main');
        return world.spawn('a', async () => {
          for (at = 0; at < 4; at++) await world.step('work', 'a');
        });
      });
      expect(fate.crashed).toBe(at < 4);
      reached.add(at);
    }
    expect(reached).toEqual(new Set([0, 1, 2, 3, 4]));
  });

  it('does not stop a message that is already in the network', async () => {
    const world = createWorld(1);
    let landed = false;
    await world.run(async () => {
      const gone = world.spawn('a', async (runtime) => {
        world.later('message', 100, () => {
          landed = true;
        });
        await runtime.sleep(1000);
      });
      world.crash('a');
      await gone;
      await world.runtime('main').sleep(200);
    });
    expect(landed).toBe(true);
  });

  it('does not let a successor take the dead name', async () => {
    const world = createWorld(1);
    world.crash('a');
    await expect(world.spawn('a', async () => undefined)).rejects.toThrow('already used');
  });
});

describe('a schedule that does not end', () => {
  it('is a livelock error with the seed and the last steps', async () => {
    const world = createWorld(42, { maxSteps: 100 });
    const endless = world.run(async () => {
      for (;;) await world.step('again', 'a');
    });
    await expect(endless).rejects.toThrow(ScheduleError);
    await expect(endless).rejects.toThrow(/Seed 42: no end after 100 steps[\s\S]*a again/);
  });

  it('is an error as well when everybody waits for nothing', async () => {
    const world = createWorld(43);
    const stuck = world.run(() => new Promise(() => {}));
    await expect(stuck).rejects.toThrow(/Seed 43: everybody waits/);
  });

  it('passes on what the main function or an actor rejects with', async () => {
    const world = createWorld(1);
    const failing = world.run(async () => {
      await world.step('work', 'a');
      throw new Error('as it happened');
    });
    await expect(failing).rejects.toThrow('as it happened');
    const spawned = createWorld(1);
    const failed = spawned.run(() =>
      spawned.spawn('a', async (runtime) => {
        await runtime.sleep(1);
        throw new Error('in the actor');
      }),
    );
    await expect(failed).rejects.toThrow('in the actor');
  });
});
