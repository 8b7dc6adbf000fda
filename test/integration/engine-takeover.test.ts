import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { createControl } from '../../src/processes/engine/control.ts';
import { createDeadLetterPort } from '../../src/processes/engine/dead-letters/operator-port.ts';
import { type Engine, startEngine } from '../../src/processes/engine/engine.ts';
import type { Reaction } from '../../src/processes/engine/reaction.ts';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { appendNumber, bucketsOf, echoConsumer, echoesOf } from '../support/echo.ts';
import { createLogStream, type LogHandle, openTestLog } from '../support/nats-log.ts';
import { testProgram } from '../support/service-build.ts';

const WORKER = new URL('../support/engine-worker-process.ts', import.meta.url);
/** Generous: a dead instance is replaced within 10 s where the machine has time for it (engine.test.ts, by a clock of its own). */
const TAKEOVER_MS = 40_000;
const TIMEOUT_MS = 90_000;

let server: TestServer;
let truth: LogHandle;
let closing: (() => Promise<unknown>)[];

beforeEach(async () => {
  server = await startTestServer();
  await createLogStream(server.url);
  truth = await openTestLog(server.url);
  closing = [];
});

afterEach(async () => {
  for (const close of closing.reverse()) await close();
  await truth.close();
  await server.stop();
});

/** An instance with a connection of its own. */
async function startInstance(instance: string, consumerOf: (handle: LogHandle) => Reaction): Promise<Engine> {
  const handle = await openTestLog(server.url);
  const { log } = handle;
  const buckets = bucketsOf(handle);
  const consumers = [consumerOf(handle)];
  const engine = startEngine({ log, buckets, runtime: systemRuntime, consumers, settings: { instance } });
  closing.push(handle.close, engine.stop);
  return engine;
}

/** A worker in a process of its own that already holds the first of two commits of the counter `x`. */
async function startHoldingWorker(): Promise<{ worker: ChildProcess; positions: number[]; heard: string[] }> {
  const worker = fork(await testProgram(WORKER), [server.url], { execArgv: [] });
  closing.push(async () => {
    if (worker.exitCode !== null || worker.signalCode !== null) return;
    worker.kill('SIGKILL');
    await once(worker, 'exit');
  });
  const heard: string[] = [];
  worker.on('message', (message) => heard.push(String(message)));
  const positions = [await appendNumber(truth.log, 'x', 1), await appendNumber(truth.log, 'x', 2)];
  await until('the worker holds the first commit', () => heard.includes('holding'), TAKEOVER_MS);
  return { worker, positions, heard };
}

const echo = ({ log }: LogHandle): Reaction => echoConsumer(log);
const groupsOf = (engine: Engine): readonly number[] => engine.status()[0]?.groups ?? [];

async function echoed(id: string, positions: readonly number[], withinMs = TAKEOVER_MS): Promise<void> {
  await until(
    `${positions.length} echoes of ${id}`,
    async () => (await echoesOf(truth.log, id)).length >= positions.length,
    withinMs,
  );
  expect(await echoesOf(truth.log, id)).toEqual(positions);
}

describe('consumers on a real server', () => {
  it(
    'share their groups evenly between two instances, and one takes all at once when the other stops',
    async () => {
      const first = await startInstance('first', echo);
      await until('the first has all', () => groupsOf(first).length === 4);
      const second = await startInstance('second', echo);
      await until('both have two', () => groupsOf(first).length === 2 && groupsOf(second).length === 2);
      const positions = new Map<string, number[]>();
      for (let n = 0; n < 60; n++) {
        const id = `c${n % 12}`;
        positions.set(id, [...(positions.get(id) ?? []), await appendNumber(truth.log, id, n + 10)]);
      }
      await first.stop();
      await until('the second has all', () => groupsOf(second).length === 4);
      for (const [id, expected] of positions) await echoed(id, expected);
    },
    TIMEOUT_MS,
  );

  it(
    'keep the order when the process that holds the first of two commits is killed',
    async () => {
      const { worker, positions } = await startHoldingWorker();
      await startInstance('successor', echo);
      worker.kill('SIGKILL');
      await echoed('x', positions);
    },
    TIMEOUT_MS,
  );

  it(
    'replace a process that hangs, and its late work changes nothing',
    async () => {
      const { worker, positions, heard } = await startHoldingWorker();
      worker.kill('SIGSTOP');
      await startInstance('successor', echo);
      await echoed('x', positions);
      worker.send('go on');
      worker.kill('SIGCONT');
      await until('the late work is refused', () => heard.includes('refused'), TAKEOVER_MS);
      expect(await echoesOf(truth.log, 'x')).toEqual(positions);
    },
    TIMEOUT_MS,
  );

  it(
    'go on by themselves after the server was killed and started again',
    async () => {
      await startInstance('one', echo);
      await startInstance('two', echo);
      const positions = [await appendNumber(truth.log, 'y', 10)];
      await echoed('y', positions);
      await server.kill9();
      await server.restart();
      await until('the log can be written', async () => {
        positions.push(await appendNumber(truth.log, 'y', 11));
        return true;
      });
      positions.push(await appendNumber(truth.log, 'y', 12));
      await echoed('y', positions);
    },
    TIMEOUT_MS,
  );

  it(
    'begin nothing while they are paused',
    async () => {
      const engine = await startInstance('one', echo);
      const control = createControl({ buckets: bucketsOf(truth), prefix: 'jl', runtime: systemRuntime });
      await control.pause('echo', 'test');
      await until('it is paused', () => engine.status()[0]?.paused === true);
      const position = await appendNumber(truth.log, 'z', 10);
      await until('it is behind', () => engine.status()[0]?.lag === 1);
      expect(await echoesOf(truth.log, 'z')).toEqual([]);
      await control.resume('echo', 'test');
      await echoed('z', [position]);
    },
    TIMEOUT_MS,
  );

  it(
    'park what cannot be handled with what comes behind it, and redrive it in order when an operator asks',
    async () => {
      let broken = true;
      const before = (value: number): void => {
        if (broken && value === 13) throw Object.assign(new Error('unlucky'), { retryable: false });
      };
      await startInstance('one', ({ log }) => echoConsumer(log, { before }));
      const positions = [await appendNumber(truth.log, 'p', 13), await appendNumber(truth.log, 'p', 14)];
      const other = await appendNumber(truth.log, 'q', 15);
      const port = createDeadLetterPort({ buckets: bucketsOf(truth), prefix: 'jl', runtime: systemRuntime });
      await until('both are parked', async () => (await port.list()).length === 2);
      await echoed('q', [other]);
      expect(await port.list({ consumer: 'echo' })).toMatchObject([
        {
          position: positions[0],
          behind: false,
          attempts: 1,
          error: { message: 'unlucky' },
          events: [{ payload: 13 }],
        },
        { position: positions[1], behind: true, attempts: 0 },
      ]);
      await port.redrive({}, { by: 'test' });
      await until('it has failed again', async () => (await port.list())[0]?.attempts === 2);
      broken = false;
      const rehearsed = await port.redrive({}, { by: 'test', dryRun: true });
      expect(rehearsed.marked.map(({ position }) => position)).toEqual([positions[0]]);
      await port.redrive({}, { by: 'test' });
      await echoed('p', positions);
      await until('nothing is parked', async () => (await port.list()).length === 0);
    },
    TIMEOUT_MS,
  );
});
