import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { type EmbeddedServer, startEmbeddedServer } from '../../src/platform/nats-server/embedded.ts';
import { testServerBinary } from '../../src/testing/nats-server.ts';

/** How the server encrypts what it stores, with a key of the run's own. */
export type Cipher = 'none' | 'aes' | 'chachapoly';

/** How a server is ended before it is started again. */
export type Ending = 'SIGTERM' | 'SIGKILL';

export interface Restart {
  /** From the signal until the process is gone, in milliseconds. */
  readonly stopMs: number;
  /** From starting the process until `/healthz` says yes, in milliseconds. */
  readonly startMs: number;
}

/** A server whose data outlives it. */
export interface ScaleServer {
  url(): string;
  pid(): number;
  /** Ends the server and starts it on the same data, on other ports. */
  restart(ending: Ending, syncAlways: boolean): Promise<Restart>;
  stop(): Promise<void>;
}

const READY_TIMEOUT_MS = 300_000;
/** What an operating system may take to hand over the ports and the folder's lock. */
const SETTLE_MS = 50;

/** Starts a server on a folder; 100 ms when it is empty. */
export async function startScaleServer(dataDir: string, cipher: Cipher): Promise<ScaleServer> {
  const extraConfig = cipher === 'none' ? {} : { jetstream: { cipher, key: randomUUID() } };
  const binary = await testServerBinary();
  const start = (syncAlways: boolean): Promise<EmbeddedServer> =>
    startEmbeddedServer({
      binary,
      dataDir,
      port: -1,
      syncAlways,
      password: '',
      extraConfig,
      readyTimeoutMs: READY_TIMEOUT_MS,
    });
  let server = await start(false);
  return {
    url: () => server.url,
    pid: () => server.pid,
    restart: async (ending, syncAlways) => {
      const endedAt = performance.now();
      server.kill(ending);
      await server.exited;
      const stopMs = performance.now() - endedAt;
      await server.stop();
      await delay(SETTLE_MS);
      const startedAt = performance.now();
      server = await start(syncAlways);
      return { stopMs, startMs: performance.now() - startedAt };
    },
    stop: () => server.stop(),
  };
}
