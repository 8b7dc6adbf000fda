import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const SCRIPT = fileURLToPath(new URL('./rival-process.ts', import.meta.url));
/** How often the rival is told how much to do, in milliseconds. */
const TELL_MS = 20;

/** Another process that writes to the same aggregates. */
export interface Rival extends AsyncDisposable {
  /** Commits to random ones of these aggregates, as many as `share` of what `count()` grows by, until stopped. */
  follow(ids: readonly string[], share: number, count: () => number): () => void;
}

/** Starts the process and waits until it is connected. */
export async function startRival(url: string): Promise<Rival> {
  const child = fork(SCRIPT, [url], { execArgv: ['--import', 'tsx'] });
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  await Promise.race([gone, new Promise((resolve) => child.once('message', resolve))]);
  return {
    follow: (ids, share, count) => {
      child.send({ ids });
      let told = 0;
      const timer = setInterval(() => {
        const owed = Math.floor(count() * share) - told;
        if (owed <= 0) return;
        told += owed;
        child.send({ commits: owed });
      }, TELL_MS);
      return () => clearInterval(timer);
    },
    [Symbol.asyncDispose]: async () => {
      child.kill();
      await gone;
    },
  };
}
