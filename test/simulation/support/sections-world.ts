import { isDeepStrictEqual } from 'node:util';
import type { ProductCommand, ProductEvent, ProductState } from '../../../src/domain/product.ts';
import { codecOf } from '../../../src/eventstore/codec/event-codec.ts';
import type { CommandResult } from '../../../src/eventstore/command.ts';
import type { Rejection } from '../../../src/eventstore/decider.ts';
import { EventStoreError } from '../../../src/eventstore/errors.ts';
import { createHandler, type Handler } from '../../../src/eventstore/handler.ts';
import type { Runtime } from '../../../src/eventstore/runtime.ts';
import type { SnapshotStore } from '../../../src/eventstore/snapshots/stored.ts';
import { createMemoryStore, type MemoryStore, openMemoryLog } from '../../../src/testing/memory-log.ts';
import { createPrng, createWorld, type Faults, type Prng, type World } from '../../../src/testing/world.ts';
import { smallProduct } from '../../support/small-sections.ts';
import { type Clients, pick } from './kernel-scenario.ts';

/** What differs from the product: its decider, or the store of its snapshots. */
export interface SectionsPlant {
  readonly decider?: typeof smallProduct;
  readonly store?: (store: SnapshotStore) => SnapshotStore;
}

/** A request of a client, repeated until it is answered. */
export interface SectionsOp {
  readonly sku: string;
  readonly command: ProductCommand;
}

export type SectionsScenario = Clients<SectionsOp>;

const FAULTS: Partial<Faults> = {
  staleRead: 0.2,
  lostAck: 0.03,
  lateLanding: 0.02,
  lostSend: 0.02,
  unavailable: 0.02,
  delay: 0.03,
  crash: 0.006,
};
/** What a cache may do: lose a value, or give back one that was overwritten. */
const [LOST, OLD] = [0.04, 0.1];
const PROCESSES = 3;
/** One aggregate is kept: the other one is cold whenever it is asked. */
const SETTINGS = { cacheEntries: 1, queueLimit: 50, maxBatch: 3, deadlineMs: 20_000 };
const LOG = { deadlineMs: 1_200, attemptTimeoutMs: 400 };
const MAX_TRIES = 8;
const QUIET_MS = 60_000;
const SKUS = ['A', 'B'] as const;
const AT = 1_900_000_000_000;

/** The scenario of a seed: a few orders that reserve, release and ship, over and over, as nobody should. */
export function scenarioOf(seed: number): SectionsScenario {
  const prng = createPrng(seed ^ 0x5ec7);
  const clients = Array.from({ length: 3 }, () => Array.from({ length: 14 }, () => opOf(prng)));
  return { clients };
}

function opOf(prng: Prng): SectionsOp {
  const sku = prng() < 0.75 ? SKUS[0] : SKUS[1];
  const orderId = `o${pick(prng, 10)}`;
  const roll = prng();
  if (roll < 0.6) return { sku, command: { type: 'reserveStock', orderId, quantity: 1, at: AT } };
  return { sku, command: { type: roll < 0.9 ? 'releaseStock' : 'shipStock', orderId, at: AT } };
}

type Answer = CommandResult<ProductState, ProductEvent, Rejection>;

interface Attempt extends SectionsOp {
  readonly commandId: string;
  readonly from: number;
  readonly to: number;
  readonly answer: Answer;
}

/** How one schedule went. */
export interface SectionsRun {
  /** Everything that must not be, as sentences; empty = all is well. */
  readonly violations: readonly string[];
  /** How often a section was read, and how often it was lost or old. */
  readonly read: number;
  readonly spoilt: number;
  /** What went on in which order. */
  readonly trace: readonly string[];
}

class ConnectionLost extends Error {}

interface Process {
  readonly handler: Handler;
  readonly crashed: Promise<never>;
}

/** Runs one schedule to its end. */
export async function runSectionsSchedule(
  seed: number,
  { clients }: SectionsScenario = scenarioOf(seed),
  plant: SectionsPlant = {},
): Promise<SectionsRun> {
  const world = createWorld(seed, { faults: FAULTS, longestDelayMs: 2_000 });
  const store = createMemoryStore();
  const values = new Map<string, Uint8Array[]>();
  const decider = plant.decider ?? smallProduct;
  const attempts: Attempt[] = [];
  const unexpected: string[] = [];
  const processes: Process[] = [];
  const seen = { read: 0, spoilt: 0 };
  let lives = 0;

  function startProcess(place: number): void {
    const actor = `p${place}.${++lives}`;
    const honest = cacheOf(values, world, actor, seen);
    const snapshots = {
      store: plant.store?.(honest) ?? honest,
      settings: { verifyShare: 0.2, fewestCommands: 2 },
      onWrong: () => unexpected.push('what is stored is not the fold of the log'),
    };
    const log = openMemoryLog(store, { world, actor, ...LOG });
    const handler = createHandler({ log, runtime: world.runtime(actor), settings: SETTINGS, snapshots });
    const life = world.spawn(actor, () => new Promise<never>(() => undefined));
    const crashed = life.then((): never => {
      startProcess(place);
      throw new ConnectionLost();
    });
    crashed.catch(() => undefined);
    processes[place] = { handler, crashed };
  }

  async function send({ sku, command }: SectionsOp, commandId: string): Promise<boolean> {
    const process = processes[pick(world.random, PROCESSES)];
    if (process === undefined) throw new RangeError('no process');
    const from = store.head();
    try {
      const asked = process.handler.execute(decider, sku, command, { commandId, actor: 'client' });
      const answer = await Promise.race([asked, process.crashed]);
      attempts.push({ sku, command, commandId, from, to: store.head(), answer });
      return true;
    } catch (error) {
      const retryable = error instanceof EventStoreError && error.retryable;
      if (!(error instanceof ConnectionLost) && !retryable) unexpected.push(String(error));
      return false;
    }
  }

  async function request(client: Runtime, op: SectionsOp, commandId: string): Promise<void> {
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      if (await send(op, commandId)) return;
      await client.sleep(client.random() * 500);
    }
  }

  return world.run(async () => {
    for (let place = 0; place < PROCESSES; place++) startProcess(place);
    const setUp = world.runtime('set-up');
    for (const op of SKUS.flatMap(beginning)) await request(setUp, op, `${op.sku}.${op.command.type}`);
    const work = clients.map(async (ops, index) => {
      const client = world.runtime(`client${index}`);
      for (const [step, op] of ops.entries()) await request(client, op, `c${index}.${step}`);
    });
    await Promise.all(work);
    await world.runtime('quiet').sleep(QUIET_MS);
    return { violations: [...unexpected, ...violationsOf(store, attempts)], ...seen, trace: world.trace() };
  });
}

const beginning = (sku: string): SectionsOp[] => [
  { sku, command: { type: 'list', sku, name: 'Tea', priceMinor: 1n, currency: 'EUR', at: AT } },
  { sku, command: { type: 'receiveStock', receiptId: 'r', quantity: 7, at: AT } },
];

/** Snapshots shared by all processes: values are lost, and old ones come back. */
function cacheOf(
  values: Map<string, Uint8Array[]>,
  world: World,
  actor: string,
  seen: { read: number; spoilt: number },
): SnapshotStore {
  return {
    get: async (key) => {
      await world.step('read snapshot', actor);
      const all = values.get(key) ?? [];
      const isSection = key.split('.').length > 3;
      const [isLost, isOld] = [world.random() < LOST, world.random() < OLD];
      if (isSection) seen.read++;
      if (isSection && (isLost || isOld)) seen.spoilt++;
      return isLost ? undefined : all[isOld ? pick(world.random, all.length) : all.length - 1];
    },
    put: async (key, value) => {
      await world.step('write snapshot', actor);
      const all = values.get(key);
      if (all === undefined) values.set(key, [value]);
      else all.push(value);
    },
  };
}

/** Reads the whole log and returns everything in it, or told about it, that must not be. */
function violationsOf(store: MemoryStore, attempts: readonly Attempt[]): string[] {
  const found: string[] = [];
  const asked = new Map(attempts.map((attempt) => [attempt.commandId, attempt]));
  const codec = codecOf<ProductEvent>(smallProduct);
  const states = new Map<string, { position: number; state: ProductState }[]>();
  for (let position = 1; position <= store.head(); position++) {
    const commit = store.at(position);
    if (commit === undefined) continue;
    const { id } = commit.stream;
    const past = states.get(id) ?? [{ position: 0, state: smallProduct.initial }];
    states.set(id, past);
    let state = past.at(-1)?.state ?? smallProduct.initial;
    for (const { commandId, events: stored } of commit.decisions) {
      const events = stored.map((event) => codec.decode(event, id));
      const attempt = asked.get(commandId);
      const right = attempt === undefined ? events : smallProduct.decide(attempt.command, state);
      if (!isDeepStrictEqual(right, events))
        found.push(`${commandId} at ${position} is not what it comes to`);
      const told = attempt?.answer;
      if (told?.outcome === 'accepted' && !isDeepStrictEqual(told.events, events))
        found.push(`${commandId} was told other events than those at ${position}`);
      state = events.reduce(smallProduct.evolve, state);
      // Who shared the commit was answered from what the ones before had left.
      past.push({ position, state });
    }
  }
  return [...found, ...attempts.flatMap((attempt) => untrue(states.get(attempt.sku) ?? [], attempt))];
}

/** "No" and "nothing to do" that no state of the product within the call says. */
function untrue(
  past: readonly { position: number; state: ProductState }[],
  { command, commandId, from, to, answer }: Attempt,
): string[] {
  if (answer.outcome !== 'rejected' && answer.outcome !== 'unchanged') return [];
  const within = past.filter(({ position }, i) => position <= to && (past[i + 1]?.position ?? to + 1) > from);
  const told = answer.outcome === 'rejected' ? answer.rejection : [];
  const holds = within.some(({ state }) => isDeepStrictEqual(smallProduct.decide(command, state), told));
  return holds ? [] : [`${commandId} was told ${answer.outcome}, which no state from ${from} to ${to} says`];
}
