import { fork } from 'node:child_process';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';

const SCRIPT = fileURLToPath(new URL('./fsync-process.ts', import.meta.url));
const AS_SHIPPED = new URL('./typescript.mjs', import.meta.url).href;

/** A process that writes and syncs a little all the time, on the disk that test servers use. */
export interface FsyncWitness extends AsyncDisposable {
  /** How long each took since the last call, in milliseconds. */
  take(): Promise<number[]>;
}

export function startFsyncWitness(): FsyncWitness {
  const child = fork(SCRIPT, [tmpdir()], { execArgv: ['--import', AS_SHIPPED] });
  return {
    take: async () => {
      const taken = once(child, 'message');
      child.send('take');
      const [took] = (await taken) as [number[]];
      return took;
    },
    [Symbol.asyncDispose]: async () => {
      const gone = once(child, 'exit');
      child.disconnect();
      await gone;
    },
  };
}
