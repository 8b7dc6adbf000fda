import { describe, expect, it } from 'vitest';
import { duration } from '../../../src/cli/command.ts';
import { type Progress, type Step, withProgress } from '../../../src/cli/shell/progress.ts';

const CLEARED = '\r\u001b[K';

/** What is written while work goes on, with a clock that only the work moves. */
async function written(
  terminal: { readonly isTTY?: boolean; readonly columns?: number },
  work: (progress: Progress, wait: (ms: number) => void) => void,
  quiet = false,
): Promise<readonly string[]> {
  const lines: string[] = [];
  let now = 1_000;
  const stream = { ...terminal, write: (text: string) => lines.push(text) };
  const wait = (ms: number): void => {
    now += ms;
  };
  await withProgress(quiet, async (progress) => work(progress, wait), { stream, now: () => now });
  return lines;
}

const orders = (done: number, total = 1_000): Step => ({ what: 'orders', done, total, unit: 'commits' });

/** A tenth each second. */
function tenSteps(progress: Progress, wait: (ms: number) => void): void {
  for (let done = 100; done <= 1_000; done += 100) {
    progress.show(orders(done));
    wait(1_000);
  }
}

describe('progress on a terminal', () => {
  const terminal = { isTTY: true, columns: 100 };

  it('is one line that is drawn over itself, with rate, total and the time that is left', async () => {
    const lines = await written(terminal, tenSteps);
    expect(lines).toHaveLength(11);
    expect(lines[0]).toBe(`${CLEARED}orders [##..................] 100 of 1000 commits`);
    expect(lines[4]).toBe(
      `${CLEARED}orders [##########..........] 500 of 1000 commits, 100 commits/s, 5 s left`,
    );
    expect(lines.slice(0, 10).every((line) => line.startsWith(CLEARED) && !line.includes('\n'))).toBe(true);
  });

  it('is gone when the work has ended or failed, and when something else is to be written', async () => {
    expect((await written(terminal, tenSteps)).at(-1)).toBe(CLEARED);
    const lines: string[] = [];
    const screen = { stream: { ...terminal, write: (text: string) => lines.push(text) }, now: () => 0 };
    const failing = withProgress(
      false,
      async ({ show }) => {
        show(orders(1));
        throw new Error('broken');
      },
      screen,
    );
    await expect(failing).rejects.toThrow('broken');
    expect(lines.at(-1)).toBe(CLEARED);
    const twice = await written(terminal, ({ show, clear }) => {
      show(orders(1));
      clear();
    });
    expect(twice.filter((text) => text === CLEARED)).toHaveLength(1);
  });

  it('is not drawn faster than eyes follow, and stays within the width', async () => {
    const lines = await written({ isTTY: true, columns: 30 }, ({ show }, wait) => {
      for (let done = 0; done < 100; done++) {
        show(orders(done));
        wait(10);
      }
    });
    expect(lines).toHaveLength(11);
    for (const line of lines) expect(line.slice(CLEARED.length).length).toBeLessThanOrEqual(29);
    const [unknown] = await written({ isTTY: true, columns: 0 }, ({ show }) => show(orders(1)));
    expect(unknown).toMatch(/1 of 1000 commits$/);
  });

  it('begins anew with other work, and does not count what was done before it was taken up again', async () => {
    const lines = await written(terminal, ({ show }, wait) => {
      show(orders(0));
      wait(1_000);
      show(orders(800));
      wait(1_000);
      show(orders(900));
      show({ what: 'users', done: 1, total: 2, unit: 'commits' });
    });
    expect(lines[2]).toContain('900 of 1000 commits, 100 commits/s, 1 s left');
    expect(lines[3]).toContain('users [##########..........] 1 of 2 commits');
    expect(lines[3]).not.toContain('/s');
  });

  it('shows bytes in their units, and a total that is about right as that', async () => {
    const lines = await written(terminal, ({ show }, wait) => {
      const step = { what: 'JETLEDGER', total: 10_000_000, unit: 'bytes', about: true };
      show({ ...step, done: 1_000_000 });
      wait(2_000);
      show({ ...step, done: 5_000_000 });
      wait(2_000);
      show({ ...step, done: 11_000_000 });
    });
    expect(lines[1]).toContain('] 5.0 MB of about 10.0 MB, 2.0 MB/s, 3 s left');
    expect(lines[2]).toContain('[####################] 11.0 MB of about 11.0 MB, 2.5 MB/s, 0 s left');
  });
});

describe('progress elsewhere', () => {
  it('is a plain line now and then, and none for what is quick', async () => {
    expect(await written({}, tenSteps)).toEqual(['orders: 600 of 1000 commits, 100 commits/s, 4 s left\n']);
    expect(await written({}, ({ show }) => show(orders(1_000)))).toEqual([]);
  });

  it('is not told with --json, on a terminal either', async () => {
    expect(await written({ isTTY: true }, tenSteps, true)).toEqual([]);
  });
});

it('tells a span of time in one unit', () => {
  const minutes = [0.5, 3, 90, 300, 5_000];
  expect(minutes.map((n) => duration(n * 60_000))).toEqual(['30 s', '3 min', '90 min', '5 h', '3 days']);
});
