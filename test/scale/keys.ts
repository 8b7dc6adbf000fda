import { connect } from '@nats-io/transport-node';
import { ensureBucket } from '../../src/eventstore/nats/nats-buckets.ts';
import {
  checkMasterKeys,
  keyBucket,
  openKeyBucket,
  personalKinds,
} from '../../src/eventstore/nats/person-keys.ts';
import { createRequests, managerOf } from '../../src/eventstore/nats/requests.ts';
import { countKeys, createPersonKeys } from '../../src/eventstore/personal/bucket-keys.ts';
import { createMasterKeys } from '../../src/eventstore/personal/master-keys.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { TEST_LOG } from '../support/nats-log.ts';
import { inFlight } from './aggregates.ts';
import { diskMiB, residentMiB } from './machine.ts';
import type { ScaleServer } from './server.ts';
import { quantile } from './statistics.ts';
import type { OwnServer } from './world.ts';

const IN_FLIGHT = 256;
const SAMPLES = 200;
const TIMEOUT_MS = 60_000;
const MASTERS = createMasterKeys(new Uint8Array(32).fill(5));

const personOf = (n: number): string => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;

function* numbers(count: number): Generator<number> {
  for (let n = 0; n < count; n++) yield n;
}

type Say = (line: string) => void;

/** What many keys of persons cost: memory and disk of the server, its starts, and a process that uses them. */
export async function measureKeys({ server, folder }: OwnServer, count: number, say: Say): Promise<void> {
  await using filling = await openKeys(server);
  const began = performance.now();
  await inFlight(
    IN_FLIGHT,
    numbers(count),
    async (n) => void (await filling.keys.keysOf([personOf(n)], 'make')),
  );
  const seconds = (performance.now() - began) / 1_000;
  say(`${count.toLocaleString('en')} keys made in ${seconds.toFixed(0)} s`);
  say(`server: ${await memoryOf(server)} MiB of memory, ${(await diskMiB(folder)).toFixed(0)} MiB of disk`);
  say(`the process that made them: ${((await residentMiB(process.pid)) ?? Number.NaN).toFixed(0)} MiB`);
  for (const ending of ['SIGTERM', 'SIGKILL'] as const) {
    const { startMs } = await server.restart(ending, true);
    say(
      `start after ${ending}: ${(startMs / 1_000).toFixed(2)} s, then ${await memoryOf(server)} MiB of memory`,
    );
  }
  await use(server, count, say);
}

/** What a process does that is started then. */
async function use(server: ScaleServer, count: number, say: Say): Promise<void> {
  await using opened = await openKeys(server);
  const timed = async (work: () => Promise<unknown>): Promise<number> => {
    const began = performance.now();
    await work();
    return performance.now() - began;
  };
  const check = await timed(() => checkMasterKeys(opened.options, MASTERS, []));
  say(`a process looks at the master key in ${check.toFixed(1)} ms`);
  const any = Array.from({ length: SAMPLES }, (_, n) => personOf(Math.floor((n * count) / SAMPLES)));
  const took: number[] = [];
  for (const person of any) took.push(await timed(() => opened.keys.keysOf([person], 'read')));
  say(`any key is read in ${quantile(took, 0.5).toFixed(2)} ms, p99 ${quantile(took, 0.99).toFixed(2)} ms`);
  const all = await timed(() => countKeys({ bucket: openKeyBucket(opened.options) }));
  say(`all of them are counted (jetledger keys status, doctor) in ${(all / 1_000).toFixed(1)} s`);
}

async function openKeys(server: ScaleServer) {
  const connection = await connect({ servers: server.url() });
  const requests = createRequests(connection);
  const options = { requests, runtime: systemRuntime, prefix: TEST_LOG.prefix, timeoutMs: TIMEOUT_MS };
  const jsm = await managerOf(requests, TIMEOUT_MS);
  for (const [name, kind] of personalKinds(options.prefix, 1))
    if (name === keyBucket(options.prefix)) await ensureBucket(jsm, name, kind);
  return {
    options,
    keys: createPersonKeys({ bucket: openKeyBucket(options), masters: MASTERS }),
    [Symbol.asyncDispose]: async () => {
      requests.close();
      await connection.close();
    },
  };
}

async function memoryOf(server: ScaleServer): Promise<string> {
  return ((await residentMiB(server.pid())) ?? Number.NaN).toFixed(0);
}
