import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { UsageError } from '../../src/cli/command.ts';
import { parkedCommand } from '../../src/cli/parked.ts';
import { topologyCommand } from '../../src/cli/topology.ts';
import { positionOf } from '../../src/eventstore/position.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { auditKey } from '../../src/processes/engine/dead-letters/entry.ts';
import { type Engine, startEngine } from '../../src/processes/engine/engine.ts';
import type { EngineObserver } from '../../src/processes/engine/observer.ts';
import { counterRef } from '../../src/testing/contracts/toy.ts';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { until } from '../../src/testing/until.ts';
import { startHttpServer } from '../contract/payment-server.ts';
import { runInProcess } from '../support/cli-in-process.ts';
import { appendNumber, bucketsOf, echoConsumer, echoesOf } from '../support/echo.ts';
import { type LogHandle, openTestLog } from '../support/nats-log.ts';
import { toldOnTerminal } from '../support/told-on-terminal.ts';

const POISON = 13;

let server: TestServer;
let handle: LogHandle;
let engine: Engine;
let broken = true;
/** Two of `p`, the second behind the first, then one of `q` and one of `r`. */
let positions: readonly [number, number, number, number];

const parked = (...args: string[]) => runInProcess(server, parkedCommand, args);
/** What each redriven try was told of who asked for it. */
const askedBy: unknown[] = [];
const counted = async (n: number) => (await parked('list')).text.endsWith(`${n} parked.`);

beforeAll(async () => {
  server = await startTestServer();
  await runInProcess(server, topologyCommand, ['apply']);
  handle = await openTestLog(server.url);
  const { log } = handle;
  const before = (value: number): void => {
    if (broken && value >= POISON) throw Object.assign(new Error('unlucky'), { retryable: false });
  };
  positions = [
    await appendNumber(log, 'p', POISON),
    await appendNumber(log, 'p', 1),
    await appendNumber(log, 'q', POISON),
    await appendNumber(log, 'r', POISON),
  ];
  const consumers = [echoConsumer(log, { before })];
  const observer: EngineObserver = {
    outcome: ({ redriven, requestedBy }) => {
      if (redriven) askedBy.push(requestedBy);
    },
  };
  engine = startEngine({ log, buckets: bucketsOf(handle), runtime: systemRuntime, consumers, observer });
  await until('all are parked', () => counted(4), 30_000);
}, 60_000);
afterAll(async () => {
  await engine?.stop();
  await handle?.close();
  await server?.stop();
});

describe('jetledger parked, beside a running consumer', () => {
  it('lists what is parked, oldest first, and shows one whole', async () => {
    const [first, behind] = positions;
    const lines = (await parked('list', '--id', 'p')).text.split('\n');
    const told = [
      `echo  counter/p  position ${first}  1 tries, unlucky`,
      `echo  counter/p  position ${behind}  waits behind an earlier one`,
    ];
    const since = / {2}\d+ s old, no trace$/;
    expect(lines.map((line) => line.replace(since, ''))).toEqual([...told, '2 parked.']);
    expect(lines.slice(0, 2).every((line) => since.test(line))).toBe(true);
    const [shown] = (await parked('show', '--position', String(first))).json() as unknown as object[];
    expect(shown).toMatchObject({
      consumer: 'echo',
      category: 'counter',
      id: 'p',
      position: first,
      attempts: 1,
      behind: false,
      events: [{ payload: POISON }],
      error: { message: 'unlucky', stack: expect.stringContaining('Error: unlucky') },
    });
    expect((await parked('list', '--consumer', 'nobody')).text).toBe('Nothing is parked.');
  });

  it('marks nothing when it is not told what, or only asked what it would do', async () => {
    await expect(parked('redrive')).rejects.toThrow(UsageError);
    await expect(parked('redrive', '--up-to', 'soon')).rejects.toThrow('takes a position of the log');
    broken = false;
    const rehearsed = (await parked('redrive', '--consumer', 'echo', '--dry-run')).text;
    expect(rehearsed).toContain('3 would be marked for redrive.');
    expect(await counted(4)).toBe(true);
  });

  it('gives up everything only where somebody is sure', async () => {
    const wants = 'say --yes as well';
    await expect(parked('discard', '--all')).rejects.toThrow(wants);
    await expect(parked('discard', '--all', '--json')).rejects.toThrow(UsageError);
    const questions: string[] = [];
    const ask = async (question: string) => {
      questions.push(question);
      return 'no';
    };
    const asked = await runInProcess(
      server,
      { ...parkedCommand, run: (args, context) => parkedCommand.run(args, { ...context, ask }) },
      ['discard', '--all'],
    );
    expect([asked.code, asked.text, questions.length]).toEqual([1, '', 1]);
    expect(questions[0]).toBe('Give up 3 dead letter(s) for ever? Type yes: ');
    expect(await counted(4)).toBe(true);
  });

  it('redrives up to a point, with what waits behind it and in order, and discards what is given up', async () => {
    const [first, behind, other] = positions;
    const told = await toldOnTerminal(async () => {
      expect((await parked('redrive', '--up-to', String(first))).text).toContain('1 marked for redrive.');
    });
    expect(told).toContain('redrive [####################] 1 of 1 dead letters');
    await until('both of p are handled', () => counted(2));
    expect(await echoesOf(handle.log, 'p')).toEqual([first, behind]);
    expect(await echoesOf(handle.log, 'q')).toEqual([]);
    // Asking twice is safe.
    expect((await parked('redrive', '--up-to', String(first))).text).toBe('Nothing that is parked fits.');

    const discarded = await parked('discard', '--position', String(other), '--actor', 'Ada L.');
    expect(discarded.text).toContain('1 marked for discard.');
    await until('it is given up', () => counted(1));
    const bucket = await bucketsOf(handle).open('jl_parked');
    const audit = await bucket?.get(auditKey('echo', counterRef('q'), positionOf(other ?? 0)));
    expect(JSON.parse(Buffer.from(audit?.value ?? []).toString())).toMatchObject({
      request: { requested: 'discard', by: 'Ada L.' },
    });
  });

  it('redrives all, shows in the collector, and the try knows the trace of who asked', async () => {
    const [, , , last] = positions;
    await using collector = await startHttpServer((_, response) => void response.writeHead(200).end());
    askedBy.length = 0;
    const traced = {
      JETLEDGER_TRACING__ENABLED: 'true',
      JETLEDGER_TRACING__ENDPOINT: collector.url,
      JETLEDGER_TRACING__SAMPLE_RATIO: '1',
    };
    const asked = await runInProcess(server, parkedCommand, ['redrive', '--all', '--json'], traced);
    expect((asked.json() as unknown as object[]).length).toBe(1);
    await until('nothing is parked', async () => (await parked('list')).text === 'Nothing is parked.');
    expect([await echoesOf(handle.log, 'q'), await echoesOf(handle.log, 'r')]).toEqual([[], [last]]);
    expect(collector.received.map(({ path }) => path)).toEqual(['/v1/traces']);
    expect(collector.received[0]?.body).toContain('jetledger.redrive.marked');
    expect(askedBy).toEqual([{ traceparent: expect.stringMatching(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/) }]);
  });

  it('waits, when asked to, and tells what became of each', async () => {
    const plant = async (id: string) => {
      broken = true;
      await appendNumber(handle.log, id, POISON);
      await until(`${id} is parked`, () => counted(1));
    };
    await plant('s');
    const failed = await parked('redrive', '--all', '--wait', '--within', '20');
    expect([failed.code, failed.text]).toEqual([
      1,
      expect.stringContaining('failed again: 2 tries, unlucky'),
    ]);
    expect(failed.text).toContain('0 done, 1 failed again, 0 still waiting.');
    broken = false;
    const handled = await parked('redrive', '--all', '--wait', '--json');
    expect([handled.code, handled.json()]).toEqual([
      0,
      [expect.objectContaining({ id: 's', outcome: 'done' })],
    ]);
    expect(await counted(1)).toBe(false);

    await plant('t');
    await engine.stop();
    const nobody = await parked('redrive', '--all', '--wait', '--within', '1');
    expect([nobody.code, nobody.text]).toEqual([
      1,
      expect.stringContaining('0 failed again, 1 still waiting.'),
    ]);
    for (const wrong of [
      ['list', '--wait'],
      ['redrive', '--all', '--wait', '--within', 'soon'],
    ])
      await expect(parked(...wrong)).rejects.toThrow(UsageError);
  });
});
