import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { until } from '../../src/testing/until.ts';

/** What a page has its reader do, in its order. */
export interface Step {
  readonly kind: 'run' | 'background' | 'ctrl-c' | 'file' | 'output';
  readonly code: string;
  /** Of a file. */
  readonly path: string;
}

/**
 * The steps of a page: blocks of `sh` are run, those below `<!-- background -->` until `<!-- ctrl-c -->`; a block of `text`
 * is what the one before it has said; a block below `<!-- file: PATH -->` is that file.
 */
export function stepsOf(page: string): Step[] {
  const blocks = page.matchAll(/(?:<!-- (.+?) -->\s*)?```(\w+)\n([\s\S]*?)```|<!-- (ctrl-c) -->/g);
  return [...blocks].map(([, marker = '', language = '', code = '', ends]) => {
    const [, path = ''] = /^file: (.+)$/.exec(marker) ?? [];
    if (ends !== undefined) return { kind: 'ctrl-c', code, path };
    if (path !== '') return { kind: 'file', code, path };
    if (language === 'text') return { kind: 'output', code, path };
    if (language !== 'sh') throw new Error(`a block of ${language} is neither run nor written: ${code}`);
    return { kind: marker === 'background' ? 'background' : 'run', code, path };
  });
}

/** Expected output as a pattern for its end, in which `...` is anything of a line. */
export function matches(output: string): RegExp {
  const literal = output.trim().replace(/[*+?^${}()|[\]\\]|\.(?!\.)/g, '\\$&');
  return new RegExp(`${literal.replaceAll(/\.\.\\\./g, '.*')}\\s*$`);
}

/** A port that nobody listens on right now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** A service that runs until it is stopped as Ctrl-C does. */
export interface Background extends AsyncDisposable {
  stop(): Promise<void>;
}

/** Starts lines of shell in a process group of their own, and waits until it listens on `PORT`. */
export async function inBackground(
  code: string,
  cwd: string,
  env: Readonly<Record<string, string>>,
): Promise<Background> {
  const child = spawn('bash', ['-euc', code], {
    cwd,
    env,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => {
      said += chunk.toString('utf8');
    });
  let gone = false;
  const closed = once(child, 'close').then(() => {
    gone = true;
  });
  const stop = async (): Promise<void> => {
    if (!gone && child.pid !== undefined) process.kill(-child.pid, 'SIGINT');
    await closed;
  };
  try {
    await until('it listens', () => gone || said.includes(`:${env.PORT}`), 60_000);
    if (gone) throw new Error(`it has ended: ${said}`);
  } catch (error) {
    await stop();
    throw error;
  }
  return { stop, [Symbol.asyncDispose]: stop };
}
