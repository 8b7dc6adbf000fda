import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** What a bare route does: one js.publish, one direct get, or one append of emmett's. */
export type BareArguments =
  | readonly ['nats', nats: string, bucketStream: string]
  | readonly ['emmett', postgres: string];

const SCRIPT = fileURLToPath(new URL('./http-bare-process.ts', import.meta.url));
// Also what is compared with is run as it would be shipped.
const AS_SHIPPED = new URL('./typescript.mjs', import.meta.url).href;

/** Fastify with nothing around one route for each method, in a process of its own. */
export interface BareRoutes extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
}

export async function startBareRoutes(...args: BareArguments): Promise<BareRoutes> {
  const child = fork(SCRIPT, args, { execArgv: ['--import', AS_SHIPPED] });
  const url = await firstMessage(child);
  return {
    url,
    pid: child.pid ?? 0,
    [Symbol.asyncDispose]: async () => {
      const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
      child.disconnect();
      await gone;
    },
  };
}

function firstMessage(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    child.once('message', (url) => resolve(String(url)));
    child.once('exit', (code) => reject(new Error(`the bare routes ended with ${code}`)));
  });
}
