import { jetstreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createRequests } from '../../src/eventstore/nats/requests.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { createNatsTimers, timersStreamConfig } from '../../src/processes/engine/timers/nats-timers.ts';
import type { Timers } from '../../src/processes/engine/timers/timers.ts';
import { timersContract } from '../../src/testing/contracts/timers-contract.ts';
import { createMemoryTimerStore, openMemoryTimers } from '../../src/testing/memory-timers.ts';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { createWorld } from '../../src/testing/world.ts';

const QUICK = { retryBaseMs: 50, retryCapMs: 200 };

timersContract('timers in memory', async () => {
  const store = createMemoryTimerStore();
  const open = (): Timers => openMemoryTimers(store, { runtime: systemRuntime, ...QUICK });
  return { timers: open(), second: open(), stop: async () => {} };
});

let server: TestServer | undefined;
beforeAll(async () => {
  server = await startTestServer();
}, 60_000);
afterAll(async () => {
  await server?.stop();
});

timersContract('timers on NATS', async () => {
  const connections: NatsConnection[] = [];
  const open = async (): Promise<Timers> => {
    const connection = await connect({ servers: server?.url ?? '', noAsyncTraces: true });
    connections.push(connection);
    const requests = createRequests(connection);
    return createNatsTimers({ requests, runtime: systemRuntime, prefix: 'jl', timeoutMs: 1_000, ...QUICK });
  };
  const timers = await open();
  const [first] = connections;
  if (first !== undefined) {
    await (await jetstreamManager(first)).streams.add(timersStreamConfig({ prefix: 'jl', replicas: 1 }));
  }
  const stop = async (): Promise<void> => {
    for (const connection of connections) await connection.close();
  };
  return { timers, second: await open(), stop };
});

describe('timers in a simulated world', () => {
  it('fire for a successor when the first instance dies while it handles one', async () => {
    const world = createWorld(7);
    const store = createMemoryTimerStore();
    const open = (actor: string): Timers =>
      openMemoryTimers(store, { world, actor, runtime: world.runtime(actor) });
    const at = world.now() + 900_000;
    const handled: string[] = [];
    await world.run(async () => {
      await open('caller').arm({ kind: 'deadline', id: 'o-1', at });
      let began = (): void => undefined;
      const dying = new Promise<void>((resolve) => {
        began = resolve;
      });
      void world.spawn('first', () => {
        open('first').deliver(() => {
          began();
          return new Promise(() => undefined);
        });
        return new Promise<void>(() => undefined);
      });
      await dying;
      world.crash('first');
      await new Promise<void>((resolve) => {
        open('second').deliver(async ({ id, attempt }) => {
          handled.push(`${id} ${attempt}`);
          resolve();
        });
      });
    });
    expect(handled).toEqual(['o-1 2']);
    expect(world.now()).toBeGreaterThan(at);
  });
});
