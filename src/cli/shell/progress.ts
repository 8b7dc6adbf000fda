import { duration, size } from '../command.ts';

/** How far work is. */
export interface Step {
  /** What is worked on, for example a view; rate and time begin anew with another one. */
  readonly what: string;
  readonly done: number;
  readonly total: number;
  /** What is counted; `bytes` are shown in their units. */
  readonly unit: string;
  /** The total is not known exactly. */
  readonly about?: boolean;
}

export interface Progress {
  readonly show: (step: Step) => void;
  /** Takes the line off the terminal, so that something else can be written. */
  readonly clear: () => void;
}

/** Where progress is told. */
export interface Screen {
  readonly stream: {
    readonly isTTY?: boolean;
    readonly columns?: number;
    write(text: string): unknown;
  };
  /** Milliseconds, from any moment on. */
  readonly now: () => number;
}

const REDRAW_MS = 100;
/** Where there is no terminal, lines add up: what takes less than this tells nothing. */
const LINE_MS = 5_000;
const BAR = 20;
/** A terminal may say that it has no columns. */
const UNKNOWN_WIDTH = 80;
const START_OF_LINE = '\r\u001b[K';

const STANDARD_ERROR: Screen = { stream: process.stderr, now: () => performance.now() };

/**
 * Work that tells on standard error how far it is: on a terminal a line that is drawn over itself and is gone at the
 * end, elsewhere a line now and then.
 * @param quiet nothing is told, for `--json`
 */
export async function withProgress<T>(
  quiet: boolean,
  work: (progress: Progress) => Promise<T>,
  screen: Screen = STANDARD_ERROR,
): Promise<T> {
  const progress = quiet ? { show: () => undefined, clear: () => undefined } : createProgress(screen);
  try {
    return await work(progress);
  } finally {
    progress.clear();
  }
}

function createProgress({ stream, now }: Screen): Progress {
  const live = stream.isTTY === true;
  let what: string | undefined;
  let nextAt = 0;
  let began: { readonly done: number; readonly at: number } | undefined;
  let drawn = false;
  return {
    show: (step) => {
      const at = now();
      if (step.what !== what) {
        what = step.what;
        began = undefined;
        nextAt = live ? at : at + LINE_MS;
      }
      // Work that is taken up again does not begin at zero, and what was done before says nothing of its rate.
      if (step.done > 0) began ??= { done: step.done, at };
      if (at < nextAt) return;
      nextAt = at + (live ? REDRAW_MS : LINE_MS);
      const seconds = began === undefined ? 0 : (at - began.at) / 1_000;
      const rate = seconds > 0 ? (step.done - (began?.done ?? 0)) / seconds : 0;
      if (live)
        stream.write(
          `${START_OF_LINE}${lineOf(step, rate, true).slice(0, (stream.columns || UNKNOWN_WIDTH) - 1)}`,
        );
      else stream.write(`${lineOf(step, rate, false)}\n`);
      drawn = live;
    },
    clear: () => {
      if (drawn) stream.write(START_OF_LINE);
      drawn = false;
    },
  };
}

function lineOf({ what, done, total, unit, about = false }: Step, rate: number, withBar: boolean): string {
  const share = total === 0 ? 1 : Math.min(1, done / total);
  const bar = withBar ? ` [${'#'.repeat(Math.round(share * BAR)).padEnd(BAR, '.')}]` : ':';
  const [of, perSecond] =
    unit === 'bytes' ? [size, size(Math.round(rate))] : [String, `${Math.round(rate)} ${unit}`];
  const counted = `${of(done)} of ${about ? 'about ' : ''}${of(Math.max(total, done))}`;
  const head = `${what}${bar} ${counted}${unit === 'bytes' ? '' : ` ${unit}`}`;
  if (rate <= 0) return head;
  return `${head}, ${perSecond}/s, ${duration((Math.max(0, total - done) / rate) * 1_000)} left`;
}
