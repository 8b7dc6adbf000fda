import type { AppendTransport } from '../../../src/eventstore/append/resolve-append.ts';
import type { CommandMeta, Expectation } from '../../../src/eventstore/command.ts';
import { part } from '../../../src/eventstore/commit-all.ts';
import { EventStoreError } from '../../../src/eventstore/errors.ts';
import { createHandler, type Handler } from '../../../src/eventstore/handler.ts';
import type { Log } from '../../../src/eventstore/log.ts';
import type { Runtime } from '../../../src/eventstore/runtime.ts';
import type { SnapshotStore } from '../../../src/eventstore/snapshots/stored.ts';
import { createMemoryStore, type MemoryStore, openMemoryLog } from '../../../src/testing/memory-log.ts';
import { createWorld, type Faults, type World } from '../../../src/testing/world.ts';
import {
  type Asked,
  type Attempt,
  type ConfirmedRead,
  placesOf,
  untrueReads,
  violationsOf,
} from './kernel-invariants.ts';
import { account, type KernelOp, type KernelScenario, pick, scenarioOf } from './kernel-scenario.ts';

/** What a process is made of; a plant replaces a part and so switches a fence off. */
export interface KernelPlant {
  readonly log?: (
    log: Log,
    store: MemoryStore,
    place: { world: World; actor: string; runtime: Runtime },
  ) => Log;
  readonly handler?: (handler: Handler) => Handler;
  readonly transport?: (transport: AppendTransport) => AppendTransport;
  readonly snapshots?: (store: SnapshotStore) => SnapshotStore;
  /** The log is kept by a cluster that falls apart now and then; who is asked whether a read is confirmed (protocol 19). */
  readonly cluster?: 'leader' | 'quorum';
}

const FAULTS: Partial<Faults> = {
  staleRead: 0.2,
  lostAck: 0.04,
  lateLanding: 0.04,
  lostSend: 0.02,
  unavailable: 0.02,
  delay: 0.03,
  crash: 0.01,
};
/** Rolled at each request, for servers that are cut off for up to four seconds. */
const FALLING_APART: Partial<Faults> = { ...FAULTS, partition: 0.03 };
const PROCESSES = 3;
const SETTINGS = { cacheEntries: 1, queueLimit: 4, maxBatch: 3 };
/** How long an append and each of its attempts is tried, in milliseconds. */
const LOG = { deadlineMs: 1_200, attemptTimeoutMs: 400 };
const LONGEST_DELAY_MS = 4_000;
const LONGEST_PAUSE_MS = 500;
/** Longer than anything that is under way when the last client has its answer. */
const QUIET_MS = 60_000;
const MAX_TRIES = 5;
/** In one of so many schedules somebody writes garbage to the accounts (protocol 20), so many times. */
const INTRUDED_EVERY = 5;
const INTRUSIONS = 3;

/** A process of the service; its successor after a crash is another one. */
interface Process {
  readonly handler: Handler;
  /** Rejects when the process dies: the client's connection breaks. */
  readonly crashed: Promise<never>;
}

class ConnectionLost extends Error {}

/** How one schedule went. */
export interface KernelRun {
  /** Everything that must not be, as sentences; empty = all is well. */
  readonly violations: readonly string[];
  /** What every attempt came to, in the order of the answers. */
  readonly attempts: readonly Attempt[];
  /** Confirmed reads. */
  readonly reads: readonly ConfirmedRead[];
  /** How many decisions each commit of the log holds. */
  readonly commits: readonly number[];
  /** What went on in which order. */
  readonly trace: readonly string[];
}

/** Runs one schedule to its end. */
export async function runKernelSchedule(
  seed: number,
  scenario: KernelScenario = scenarioOf(seed),
  plant: KernelPlant = {},
): Promise<KernelRun> {
  const faults = plant.cluster === undefined ? FAULTS : FALLING_APART;
  const world = createWorld(seed, { faults, longestDelayMs: LONGEST_DELAY_MS });
  const store = createMemoryStore();
  const values = new Map<string, Uint8Array>();
  const attempts: Attempt[] = [];
  const reads: ConfirmedRead[] = [];
  const unexpected: string[] = [];
  const processes: Process[] = [];
  let lives = 0;
  // Half of the schedules pack the appends of different aggregates into batches (protocol 16).
  const groups = {
    groupCommit: seed % 2 === 0,
    ...(plant.cluster && { confirm: plant.cluster }),
    ...(plant.transport === undefined ? {} : { spoil: plant.transport }),
  };

  function startProcess(place: number): void {
    const actor = `p${place}.${++lives}`;
    const runtime = world.runtime(actor);
    const honest = openMemoryLog(store, { world, actor, ...LOG, ...groups });
    const log = plant.log?.(honest, store, { world, actor, runtime }) ?? honest;
    const bucket = snapshotsOf(values, world, actor);
    const snapshots = {
      store: plant.snapshots?.(bucket) ?? bucket,
      settings: { verifyShare: plant.snapshots === undefined ? 0.3 : 0, fewestCommands: 2 },
      onWrong: () => unexpected.push('a snapshot is not the fold of the log'),
    };
    const handler = createHandler({ log, runtime, settings: SETTINGS, snapshots });
    const life = world.spawn(actor, () => new Promise<never>(() => undefined));
    const crashed = life.then((): never => {
      startProcess(place);
      throw new ConnectionLost();
    });
    crashed.catch(() => undefined);
    processes[place] = { handler: plant.handler?.(handler) ?? handler, crashed };
  }

  /** Sends a request to any process and notes what became of it. True when it was answered for good. */
  async function send(asked: Asked): Promise<boolean> {
    const process = processes[pick(world.random, PROCESSES)];
    if (process === undefined) throw new RangeError('no process');
    const from = store.head();
    const note = (end: Attempt['end']): void => {
      attempts.push({ asked, from, to: store.head(), end });
    };
    try {
      note({ answer: await Promise.race([perform(process.handler, asked), process.crashed]) });
      return true;
    } catch (error) {
      if (error instanceof ConnectionLost) note({ lost: true });
      else if (error instanceof EventStoreError && error.retryable) note({ failed: error.code });
      else unexpected.push(String(error));
      return false;
    }
  }

  /** Reads an account as it is now, from any process, and notes what it was told. */
  async function read(id: string): Promise<void> {
    const process = processes[pick(world.random, PROCESSES)];
    if (process === undefined) throw new RangeError('no process');
    const from = store.head();
    try {
      const loaded = await Promise.race([process.handler.load(account, id), process.crashed]);
      reads.push({ id, from, to: store.head(), version: loaded.version, balance: loaded.state });
    } catch (error) {
      const isFault = error instanceof EventStoreError && error.retryable;
      if (!isFault && !(error instanceof ConnectionLost)) unexpected.push(String(error));
    }
  }

  /** Repeats a request until it is answered; sometimes an impatient proxy sends it twice, or a client reuses its key. */
  async function request(client: Runtime, op: KernelOp, commandId: string): Promise<void> {
    const known = op.type === 'one' && op.expected === 'version' ? op.id : undefined;
    const version =
      known === undefined ? undefined : store.version({ category: account.category, id: known });
    const asked: Asked = { op, commandId, version, body: JSON.stringify(op) };
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const twin = client.random() < 0.2 ? send(asked) : undefined;
      const answered = await send(asked);
      if (client.random() < 0.5) await twin;
      if (answered) break;
      await client.sleep(client.random() * LONGEST_PAUSE_MS);
    }
    if (client.random() < 0.2) await send(asked);
    if (client.random() < 0.1) await send({ ...asked, body: 'another body' });
  }

  const readAfter = async (op: KernelOp): Promise<void> => {
    if (plant.cluster !== undefined) for (const id of placesOf(op)) await read(id);
  };

  async function runClient(ops: readonly KernelOp[], index: number): Promise<void> {
    const client = world.runtime(`client${index}`);
    const beside: Promise<void>[] = [];
    for (const [step, op] of ops.entries()) {
      const done = request(client, op, `c${index}.${step}`).then(() => readAfter(op));
      if (op.beside) beside.push(done);
      else await done;
    }
    await Promise.all(beside);
  }

  const isIntruded = seed % INTRUDED_EVERY === 3;

  async function intrude(): Promise<void> {
    const intruder = world.runtime('intruder');
    for (let i = 0; i < INTRUSIONS; i++) {
      await intruder.sleep(intruder.random() * LONGEST_PAUSE_MS);
      const stream = { category: account.category, id: pick(intruder.random, 2) === 0 ? 'a' : 'b' };
      store.put(stream, store.version(stream), Uint8Array.of(0x78));
    }
  }

  /** Where nothing is in the way any more, every account can be changed. */
  async function stillServes(): Promise<void> {
    world.calm();
    for (const id of ['a', 'b']) {
      const op = {
        type: 'one',
        id,
        command: { kind: 'add', by: 1 },
        expected: 'any',
        beside: false,
      } as const;
      const answered = await send({ op, commandId: `last.${id}`, version: undefined, body: id });
      if (!answered) unexpected.push(`nobody can change ${id} any more`);
    }
  }

  return world.run(async () => {
    for (let place = 0; place < PROCESSES; place++) startProcess(place);
    await Promise.all([...scenario.clients.map(runClient), ...(isIntruded ? [intrude()] : [])]);
    await world.runtime('quiet').sleep(QUIET_MS);
    if (isIntruded) await stillServes();
    const violations = [...unexpected, ...violationsOf(store, attempts), ...untrueReads(store, reads)];
    const commits = Array.from({ length: store.head() }, (_, i) => store.at(i + 1)?.decisions.length ?? 0);
    return { violations, attempts, reads, commits, trace: world.trace() };
  });
}

function perform(handler: Handler, { op, commandId, version, body }: Asked) {
  const meta: CommandMeta = { commandId, fingerprint: new TextEncoder().encode(body), actor: 'client' };
  if (op.type === 'all') {
    const { from, to, amount } = op;
    const take = part(account, from, { kind: 'add', by: -amount });
    return handler.commitAll([take, part(account, to, { kind: 'add', by: amount })], meta);
  }
  const expected: Expectation = op.expected === 'version' ? (version ?? 0) : op.expected;
  return handler.execute(account, op.id, op.command, meta, { expected, assumeNew: op.expected === 'none' });
}

/** Snapshots shared by all processes; reading and writing take a step, in which others may go first. */
function snapshotsOf(values: Map<string, Uint8Array>, world: World, actor: string): SnapshotStore {
  return {
    get: async (key) => {
      await world.step('read snapshot', actor);
      return values.get(key);
    },
    put: async (key, value) => {
      await world.step('write snapshot', actor);
      values.set(key, value);
    },
  };
}
