import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Answer, Question } from './tasks.ts';

/** A process with the kernel in it, connected to one server. It ends with this process at the latest. */
export interface ServiceProcess extends AsyncDisposable {
  readonly pid: number;
  /** @throws what the process failed with, or that it has ended */
  ask(question: Question): Promise<readonly number[]>;
}

const SCRIPT = fileURLToPath(new URL('./service-process.ts', import.meta.url));

/** Starts a service process and waits until it is ready. */
export async function startService(url: string): Promise<ServiceProcess> {
  const child = fork(SCRIPT, [url], { execArgv: ['--import', 'tsx'] });
  const ended = new AbortController();
  child.once('exit', () => ended.abort());

  const next = async (): Promise<Answer> => {
    const [answer] = (await once(child, 'message', { signal: ended.signal }).catch(() => {
      throw new Error('The service process has ended before its answer');
    })) as [Answer];
    if ('failed' in answer) throw new Error(`The service process: ${answer.failed}`);
    return answer;
  };
  await next().catch((error: unknown) => {
    child.kill('SIGKILL');
    throw error;
  });
  return {
    pid: child.pid ?? 0,
    ask: async (question) => {
      const answered = next();
      child.send(question);
      const answer = await answered;
      return 'samples' in answer ? answer.samples : [];
    },
    [Symbol.asyncDispose]: async () => {
      if (ended.signal.aborted) return;
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    },
  };
}
