/** Wakes whoever waits for something to change. */
export interface Wake {
  /** Resolves at the next `all()`, or when the signal fires. */
  next(signal?: AbortSignal): Promise<void>;
  all(): void;
}

export function createWake(): Wake {
  let waiting: (() => void)[] = [];
  return {
    next: (signal) =>
      new Promise((resolve) => {
        if (signal?.aborted) {
          resolve();
          return;
        }
        const wake = (): void => {
          signal?.removeEventListener('abort', wake);
          resolve();
        };
        waiting.push(wake);
        signal?.addEventListener('abort', wake);
      }),
    all: () => {
      const woken = waiting;
      waiting = [];
      for (const wake of woken) wake();
    },
  };
}
