import { createUseCases } from '../../../src/app/create-use-cases.ts';
import { createEmailKey } from '../../../src/app/email-key.ts';
import type { UseCases, UserResult } from '../../../src/app/use-cases.ts';
import { user } from '../../../src/domain/user.ts';
import type { CommandHandler, CommandMeta } from '../../../src/eventstore/command.ts';
import { EventStoreError } from '../../../src/eventstore/errors.ts';
import { createHandler } from '../../../src/eventstore/handler.ts';
import { WITHOUT_KEYS } from '../../../src/eventstore/personal/personal-data.ts';
import type { Runtime } from '../../../src/eventstore/runtime.ts';
import { createMemoryStore, openMemoryLog } from '../../../src/testing/memory-log.ts';
import { createWorld, type Faults } from '../../../src/testing/world.ts';
import { clearStaleClaims } from './email-backstop.ts';
import { type Acknowledged, eventsOf, ownersOf, violationsOf } from './email-invariants.ts';
import { ADDRESSES, type EmailOp, type EmailScenario, pick, scenarioOf } from './email-scenario.ts';

/** Spoils what a process does; makes the fault that the simulation must find. `world` is one per schedule. */
export type Plant = () => (handler: CommandHandler, runtime: Runtime) => CommandHandler;

const honest: Plant = () => (handler) => handler;

const FAULTS: Partial<Faults> = {
  staleRead: 0.2,
  lostAck: 0.03,
  lateLanding: 0.03,
  lostSend: 0.02,
  unavailable: 0.02,
  delay: 0.08,
  crash: 0.015,
};
const PROCESSES = 3;
const STALE_CLAIM_MS = 1_500;
/** The longest that a client waits before it repeats a request, or sends the next one. */
const LONGEST_PAUSE_MS = 6_000;
const LONGEST_DELAY_MS = 8_000;
/** Longer than anything that is under way when the last client has its answer. */
const QUIET_MS = 60_000;
const MAX_TRIES = 6;

export const emailKey = createEmailKey(new TextEncoder().encode('the key of the simulated addresses'));

/** A process of the service; its successor after a crash is another one. */
interface Process {
  readonly useCases: UseCases;
  readonly handler: CommandHandler;
  /** Rejects when the process dies: the client's connection breaks. */
  readonly crashed: Promise<never>;
}

class ConnectionLost extends Error {}

/** How one schedule went. */
export interface EmailRun {
  /** Everything that must not be, as sentences; empty = all is well. */
  readonly violations: readonly string[];
  /** The log's events in order, as `aggregate/id Type`. */
  readonly events: readonly string[];
  /** What went on in which order. */
  readonly trace: readonly string[];
}

/** Runs one schedule to its end. */
export async function runEmailSchedule(
  seed: number,
  scenario: EmailScenario = scenarioOf(seed),
  plant: Plant = honest,
): Promise<EmailRun> {
  const world = createWorld(seed, { faults: FAULTS, longestDelayMs: LONGEST_DELAY_MS });
  const store = createMemoryStore();
  const spoil = plant();
  const acknowledged: Acknowledged[] = [];
  const unexpected: string[] = [];
  const processes: Process[] = [];
  let lives = 0;

  function startProcess(place: number): void {
    const actor = `p${place}.${++lives}`;
    const plain = world.runtime(actor);
    // Jittered sleeps leave the virtual clock between two milliseconds, where a real one never is.
    const runtime: Runtime = { ...plain, now: () => Math.floor(plain.now()) };
    const log = openMemoryLog(store, { world, actor });
    const handler = spoil(createHandler({ log, runtime }), runtime);
    const settings = { staleClaimMs: STALE_CLAIM_MS, priceMaxAgeMs: 0 };
    const life = world.spawn(actor, () => new Promise<never>(() => undefined));
    const crashed = life.then((): never => {
      startProcess(place);
      throw new ConnectionLost();
    });
    crashed.catch(() => undefined);
    processes[place] = {
      handler,
      crashed,
      useCases: createUseCases({ handler, log, runtime, emailKey, personal: WITHOUT_KEYS, settings }),
    };
  }

  /** Sends a request to any process. Undefined when no answer came, so that it must be repeated. */
  async function send(userId: string, op: EmailOp, meta: CommandMeta, expected: number | undefined) {
    const process = processes[pick(world.random, PROCESSES)];
    if (process === undefined) throw new RangeError('no process');
    try {
      const result = await Promise.race([perform(process, userId, op, meta, expected), process.crashed]);
      if (result.outcome === 'accepted' && 'address' in op) {
        acknowledged.push({
          commandId: meta.commandId,
          userId,
          address: op.address,
          version: result.version,
        });
      }
      return result;
    } catch (error) {
      const expectable =
        error instanceof ConnectionLost || (error instanceof EventStoreError && error.retryable);
      if (!expectable) unexpected.push(String(error));
      return undefined;
    }
  }

  /** Repeats a request until it is answered; sometimes an impatient proxy sends it twice. */
  async function request(client: Runtime, userId: string, op: EmailOp, commandId: string) {
    const meta: CommandMeta = { commandId, fingerprint: fingerprintOf(op), actor: userId };
    const expected =
      'ifMatch' in op && op.ifMatch ? store.version({ category: 'user', id: userId }) : undefined;
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const twin = client.random() < 0.2 ? send(userId, op, meta, expected) : undefined;
      const result = await send(userId, op, meta, expected);
      if (client.random() < 0.5) await twin;
      if (result !== undefined) return result;
      await client.sleep(client.random() * LONGEST_PAUSE_MS);
    }
    return undefined;
  }

  async function runClient(ops: readonly EmailOp[], index: number): Promise<void> {
    const client = world.runtime(`client${index}`);
    for (const [step, op] of ops.entries()) {
      await request(client, `u${index}`, op, `c${index}.${step}`);
      if (client.random() < 0.3) await client.sleep(client.random() * LONGEST_PAUSE_MS);
    }
  }

  /** What the timer of a claim does: looks again and again, on any process, until there is nothing left to do. */
  const settle = (client: Runtime) => async (emailId: string) => {
    for (let tries = 0; tries < 3 * MAX_TRIES; tries++) {
      const process = processes[pick(world.random, PROCESSES)];
      if (process === undefined) throw new RangeError('no process');
      const looked = Promise.race([process.useCases.abandonStaleClaim(emailId), process.crashed]);
      if ((await looked.catch(() => 'pending')) === 'settled') return true;
      await client.sleep(STALE_CLAIM_MS);
    }
    return false;
  };

  /** After everything has come to rest a newcomer gets each address, unless somebody owns it. */
  async function probe(): Promise<string[]> {
    const client = world.runtime('probe');
    await client.sleep(QUIET_MS);
    const barred =
      scenario.clients.length % 2 === 0 ? await clearStaleClaims(store, emailKey, settle(client)) : [];
    for (const [i, address] of ADDRESSES.entries()) {
      const owners = ownersOf(store, address);
      const result = await request(client, `probe${i}`, { type: 'register', address }, `probe${i}`);
      if (owners.length === 0 && result?.outcome === 'rejected')
        barred.push(`${address} is barred by a dead claim`);
    }
    return barred;
  }

  return world.run(async () => {
    for (let place = 0; place < PROCESSES; place++) startProcess(place);
    await Promise.all(scenario.clients.map(runClient));
    const barred = await probe();
    const violations = [...unexpected, ...violationsOf(store, emailKey, acknowledged), ...barred];
    return { violations, events: eventsOf(store), trace: world.trace() };
  });
}

function perform(
  { useCases, handler }: Process,
  userId: string,
  op: EmailOp,
  meta: CommandMeta,
  expected: number | undefined,
): Promise<UserResult> {
  switch (op.type) {
    case 'register':
      return useCases.register({ userId, email: op.address, name: 'Somebody' }, meta);
    case 'change':
      return useCases.changeEmail(userId, op.address, meta, expected === undefined ? {} : { expected });
    case 'deactivate':
      return handler.execute(user, userId, { type: 'deactivate', reason: '', at: 1 }, meta);
    case 'reactivate':
      return handler.execute(user, userId, { type: 'reactivate', at: 1 }, meta);
  }
}

function fingerprintOf(op: EmailOp): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(op));
}
