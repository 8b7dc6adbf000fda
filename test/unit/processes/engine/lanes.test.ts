import { beforeEach, describe, expect, test } from 'vitest';
import type { RecordedCommit } from '../../../../src/eventstore/log.ts';
import { BEGINNING, numberOf, positionOf } from '../../../../src/eventstore/position.ts';
import { createProgress, type Progress } from '../../../../src/processes/engine/cursor.ts';
import { createLanes, type Lanes, type LaneTask } from '../../../../src/processes/engine/lanes.ts';
import { defaultEngineSettings, type EngineSettings } from '../../../../src/processes/engine/settings.ts';
import { counterRef } from '../../../../src/testing/contracts/toy.ts';
import { createWorld, type World } from '../../../../src/testing/world.ts';

const bounds: Partial<EngineSettings> = { concurrency: 3, maxHeld: 6, laneHeld: 2, deadLetterAfterMs: 5_000 };
const settings = { ...defaultEngineSettings, ...bounds };

let world: World;
let progress: Progress;
/** What was done, as aggregate and position; `!` = given up. */
let log: string[];
let running: Set<string>;
/** The number of each try. */
let tries: number[];
/** Aggregates whose commits fail. */
let failing: Set<string>;

beforeEach(() => {
  world = createWorld(1, {});
  progress = createProgress({ high: BEGINNING, open: [] });
  log = [];
  tries = [];
  running = new Set();
  failing = new Set();
});

const commitOf = (id: string, position: number): RecordedCommit => ({
  stream: counterRef(id),
  position: positionOf(position),
  previous: 0,
  commitId: `c${position}`,
  decisions: [],
});

function lanesWith(retryAfterMs = 100, takesMs = 10): Lanes {
  const runtime = world.runtime('lanes');
  const deliver = async ({ stream, commits: [commit], attempt, givenUp }: LaneTask) => {
    tries.push(attempt);
    expect(running.has(stream.id)).toBe(false);
    running.add(stream.id);
    await runtime.sleep(takesMs);
    running.delete(stream.id);
    if (commit === undefined) return { done: 0 };
    if (failing.has(stream.id) && givenUp === undefined) return { retryAfterMs, error: new Error('failing') };
    log.push(`${stream.id}${numberOf(commit.position)}${givenUp ? '!' : ''}`);
    return { done: 1 };
  };
  return createLanes({
    runtime,
    settings,
    progress,
    deliver,
    advanced: () => undefined,
    stopped: () => undefined,
  });
}

const sleep = (ms: number): Promise<void> => world.runtime('test').sleep(ms);

describe('lanes', () => {
  test('keep the order of each aggregate and run different ones side by side', () =>
    world.run(async () => {
      const lanes = lanesWith();
      for (const [at, id] of ['a', 'b', 'a', 'c', 'a'].entries()) await lanes.admit(commitOf(id, at + 1));
      expect(lanes.running).toBe(3);
      await sleep(100);
      expect(log.filter((entry) => entry.startsWith('a'))).toEqual(['a1', 'a3', 'a5']);
      expect(progress.low).toBe(5);
    }));

  test('let one that waits for another try hold back nobody else', () =>
    world.run(async () => {
      failing.add('a');
      const lanes = lanesWith(2_000);
      for (let at = 1; at <= 20; at++) await lanes.admit(commitOf(at <= 2 ? 'a' : `b${at}`, at));
      await sleep(200);
      expect(log).toHaveLength(18);
      expect(lanes).toMatchObject({ retrying: 1, held: 2, running: 0 });
      expect(progress.low).toBe(0);
      failing.clear();
      await sleep(3_000);
      expect(log.slice(-2)).toEqual(['a1', 'a2']);
    }));

  test('try what waits for another try at once when a newer commit of its aggregate may have made it needless', () =>
    world.run(async () => {
      failing.add('a');
      const lanes = lanesWith(4_000);
      await lanes.admit(commitOf('a', 1));
      await sleep(100);
      expect(lanes.retrying).toBe(1);
      failing.clear();
      await lanes.admit(commitOf('a', 2));
      await sleep(100);
      expect(log).toEqual(['a1', 'a2']);
    }));

  test('try at once, too, what failed while the newer commit came', () =>
    world.run(async () => {
      failing.add('a');
      const lanes = lanesWith(4_000, 200);
      await lanes.admit(commitOf('a', 1));
      await sleep(100);
      await lanes.admit(commitOf('a', 2));
      await sleep(200);
      failing.clear();
      await sleep(600);
      expect(log).toEqual(['a1', 'a2']);
    }));

  test('try early once for each commit that comes, do not count that, and keep to the back-off otherwise', () =>
    world.run(async () => {
      failing.add('a');
      const lanes = lanesWith(3_000);
      await lanes.admit(commitOf('a', 1));
      await sleep(1_000);
      await lanes.admit(commitOf('a', 2));
      await sleep(1_000);
      expect(tries).toEqual([1, 2]);
      await sleep(1_500);
      expect(tries).toEqual([1, 2, 2]);
    }));

  test('give up one that has failed for too long', () =>
    world.run(async () => {
      failing.add('a');
      const lanes = lanesWith();
      await lanes.admit(commitOf('a', 1));
      await sleep(4_500);
      expect(log).toEqual([]);
      await sleep(1_000);
      expect(log).toEqual(['a1!']);
    }));

  test('give up one that fails and holds back more than it may', () =>
    world.run(async () => {
      failing.add('a');
      const lanes = lanesWith(60_000);
      for (let at = 1; at <= 2; at++) await lanes.admit(commitOf('a', at));
      await sleep(1_000);
      expect(log).toEqual([]);
      await lanes.admit(commitOf('a', 3));
      await sleep(100);
      expect(log[0]).toBe('a1!');
    }));

  test('never hold more than they may: the reader waits', () =>
    world.run(async () => {
      const lanes = lanesWith(100, 1_000);
      let admitted = 0;
      void (async () => {
        for (let at = 1; at <= 10; at++) {
          await lanes.admit(commitOf('slow', at));
          admitted = at;
        }
      })();
      await sleep(500);
      expect(admitted).toBe(settings.maxHeld);
      await sleep(10_500);
      expect(log).toHaveLength(10);
      expect(log.every((entry) => !entry.endsWith('!'))).toBe(true);
    }));

  test('make room by giving up those that fail once these take most of it', () =>
    world.run(async () => {
      for (const id of ['a', 'b', 'c', 'd', 'e', 'f']) failing.add(id);
      const lanes = lanesWith(60_000);
      for (const [at, id] of [...'abcdefg'].entries()) await lanes.admit(commitOf(id, at + 1));
      await sleep(100);
      expect(log).toEqual(['a1!', 'g7']);
      expect(lanes.held).toBe(5);
    }));

  test('begin nothing while they are on hold, and nothing after they were halted', () =>
    world.run(async () => {
      const lanes = lanesWith();
      lanes.hold(true);
      await lanes.admit(commitOf('a', 1));
      await sleep(100);
      expect(log).toEqual([]);
      lanes.hold(false);
      await lanes.admit(commitOf('a', 2));
      await lanes.halt();
      expect(log).toEqual(['a1']);
      expect(progress.state()).toEqual({ high: 2, open: [2] });
    }));
});
