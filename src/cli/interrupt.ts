/**
 * Runs work that the first Ctrl-C or SIGTERM asks to end; a second one ends the process as usual. Nothing stays
 * installed afterwards.
 */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const interrupted = new AbortController();
  const stop = (): void => {
    remove();
    interrupted.abort();
  };
  const remove = (): void => {
    process.removeListener('SIGINT', stop);
    process.removeListener('SIGTERM', stop);
  };
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  try {
    return await work(interrupted.signal);
  } finally {
    remove();
  }
}
