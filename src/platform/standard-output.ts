import { writeSync } from 'node:fs';

/** Where a logger's lines go. */
export interface Lines {
  write(line: string): void;
  /** Writes what waits, and calls back. */
  flush(done: () => void): void;
  /** Writes what waits; gives up after a second in which nobody takes it. */
  flushSync(): void;
}

/** No line waits longer than so many milliseconds, or for more than so many characters. */
const WAIT_MS = 50;
const ENOUGH = 8_192;
/** A reader that takes nothing keeps a process that ends for so long, and is asked again so often. */
const GIVE_UP_MS = 1_000;
const ASK_AGAIN_MS = 5;

const NOTHING = Buffer.alloc(0);
const sleeper = new Int32Array(new SharedArrayBuffer(4));

/**
 * Writes lines of pino's together, always in order: one write for each is the better part of what a line costs. A
 * warning or worse goes out at once, with all that was before it. Written in this thread and not in the background, so
 * that nothing is under way when the process ends; a pipe whose reader is slow is left alone until the next time.
 * @param fd a file, pipe or socket that is open for as long as the process lives
 */
export function linesTo(fd: number): Lines {
  let waiting = '';
  /** Begun, and not taken yet. */
  let rest: Buffer = NOTHING;
  let isPlanned = false;

  /** False while the reader takes no more. */
  const send = (): boolean => {
    try {
      while (rest.length > 0 || waiting !== '') {
        if (rest.length === 0) [rest, waiting] = [Buffer.from(waiting), ''];
        rest = rest.subarray(writeSync(fd, rest));
      }
      return true;
    } catch (error) {
      if (isFull(error)) return false;
      // The reader is gone or the disk is full: nobody is stopped by lines that cannot be written.
      [rest, waiting] = [NOTHING, ''];
      return true;
    }
  };
  const sendSoon = (): void => {
    if (isPlanned) return;
    isPlanned = true;
    setTimeout(() => {
      isPlanned = false;
      if (!send()) sendSoon();
    }, WAIT_MS).unref();
  };
  const flushSync = (): void => {
    const end = performance.now() + GIVE_UP_MS;
    while (!send() && performance.now() < end) Atomics.wait(sleeper, 0, 0, ASK_AGAIN_MS);
  };

  return {
    write: (line) => {
      waiting += line;
      const isDue = isUrgent(line) || (waiting.length >= ENOUGH && rest.length === 0);
      if (!isDue || !send()) sendSoon();
    },
    flush: (done) => {
      flushSync();
      done();
    },
    flushSync,
  };
}

/** Each line of pino's begins with its level, of two digits. */
const LEVEL_AT = '{"level":'.length;
const WARN = '4';

function isUrgent(line: string): boolean {
  return line.charAt(LEVEL_AT) >= WARN;
}

function isFull(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EAGAIN';
}
