import type { Logger } from 'pino';
import { reasonOf } from '../eventstore/index.ts';

/** Something that was started and has to be closed. */
interface Stage {
  readonly name: string;
  readonly close: () => unknown;
  /** What is still open in it, for people. */
  readonly open: () => string;
}

/** What a process has started, and the way back. */
export interface Lifecycle {
  /**
   * Notes something that was started. What was noted last is closed first.
   * @param open what is still open in it, in a few words, asked when it could not be closed in time
   */
  started(name: string, close: () => unknown, open?: () => string): void;
  /** True from the moment at which stopping begins. */
  stopping(): boolean;
  /** What is not closed yet, in the order of closing. */
  left(): readonly string[];
  /** Closes everything; may be called again. @throws ShutdownIncomplete, after everything was tried */
  stop(): Promise<void>;
}

/** Something could not be closed; the message is one line that names all of it. */
export class ShutdownIncomplete extends Error {
  /** What was left, and why. */
  readonly left: readonly string[];

  constructor(left: readonly string[]) {
    super(`not everything could be closed: ${left.join('; ')}`);
    this.name = 'ShutdownIncomplete';
    this.left = left;
  }
}

interface LifecycleOptions {
  readonly logger: Pick<Logger, 'debug' | 'warn'>;
  /** From the call of `stop` to its end, in milliseconds. */
  readonly deadlineMs: number;
}

/**
 * Closes what was started, one thing after the other. None of them gets more than half of the time that is left, so one
 * that hangs (its server is away) is given up in time for the ones behind it, and all of it ends before the deadline.
 */
export function createLifecycle(options: LifecycleOptions): Lifecycle {
  const stages: Stage[] = [];
  let current: Stage | undefined;
  let stopping = false;
  let stopped: Promise<void> | undefined;
  const next = (): Stage | undefined => {
    current = stages.pop();
    return current;
  };
  return {
    started: (name, close, open = () => '') => {
      stages.push({ name, close, open });
    },
    stopping: () => stopping,
    left: () => [current, ...stages.toReversed()].filter((stage) => stage !== undefined).map(describe),
    stop: () => {
      stopping = true;
      stopped ??= closeAll(next, options);
      return stopped;
    },
  };
}

async function closeAll(
  next: () => Stage | undefined,
  { logger, deadlineMs }: LifecycleOptions,
): Promise<void> {
  const end = performance.now() + deadlineMs;
  const left: string[] = [];
  for (let stage = next(); stage !== undefined; stage = next()) {
    const began = performance.now();
    const unclosed = await closeWithin(stage, (end - began) / 2);
    const line = { stage: stage.name, ms: Math.round(performance.now() - began) };
    if (unclosed === undefined) {
      logger.debug(line, 'closed');
    } else {
      left.push(unclosed.left);
      logger.warn({ ...line, err: unclosed.err }, 'could not be closed');
    }
  }
  if (left.length > 0) throw new ShutdownIncomplete(left);
}

interface Unclosed {
  readonly left: string;
  readonly err?: unknown;
}

async function closeWithin(stage: Stage, withinMs: number): Promise<Unclosed | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Unclosed>((resolve) => {
    const giveUp = () => resolve({ left: `${describe(stage)}, given up after ${Math.round(withinMs)} ms` });
    timer = setTimeout(giveUp, withinMs);
  });
  const closing = (async () => stage.close())().then(
    () => undefined,
    (err: unknown) => ({ left: `${describe(stage)}, ${reasonOf(err)}`, err }),
  );
  return Promise.race([closing, late]).finally(() => clearTimeout(timer));
}

function describe({ name, open }: Stage): string {
  const detail = open();
  return detail === '' ? name : `${name} (${detail})`;
}
