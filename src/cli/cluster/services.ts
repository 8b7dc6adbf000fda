import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { linesOf } from './output.ts';

/** A `jetledger serve` that was started. */
export interface ClusterService {
  readonly pid: number;
  /** Resolves with where it answers, for example `http://127.0.0.1:3000`. Rejects with ServiceEnded. */
  readonly answers: Promise<string>;
  /** Settles when it has ended, with how. */
  readonly ended: Promise<string>;
  /** Ends it gently; nothing happens when it has ended. */
  stop(): Promise<void>;
}

/** A service has ended before it answered; its own lines say why. */
export class ServiceEnded extends Error {
  constructor(how: string) {
    super(`a service has ended before it answered (${how}); its lines above say why`);
    this.name = 'ServiceEnded';
  }
}

const ANSWERS = /JetLedger answers at (http:[^\s,]+)/;

// The end of the pipe reaches it also when we are killed. Loaded before the service itself.
const END_WITH_PARENT =
  'data:text/javascript,process.stdin.on("end",()=>process.kill(process.pid)).resume().unref()';

/**
 * Starts a service in a process of its own. Ctrl-C at the terminal does not reach it.
 * @param env all of its variables
 */
export function startServiceProcess(
  env: Readonly<Record<string, string | undefined>>,
  onLine: (line: string) => void,
): ClusterService {
  const program = process.argv[1] ?? '';
  const child = spawn(process.execPath, ['--import', END_WITH_PARENT, program, 'serve'], {
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
    env,
  });
  child.stdin?.on('error', () => undefined);
  const ended = endOf(child);
  const answers = new Promise<string>((resolve, reject) => {
    linesOf(child.stdout, (line) => {
      const url = ANSWERS.exec(line)?.[1];
      if (url !== undefined) resolve(url);
      onLine(line);
    });
    linesOf(child.stderr, onLine);
    void ended.then((how) => reject(new ServiceEnded(how)));
  });
  return {
    pid: child.pid ?? 0,
    answers,
    ended,
    stop: async () => {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

async function endOf(child: ChildProcess): Promise<string> {
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  return signal ?? `exit code ${code}`;
}
