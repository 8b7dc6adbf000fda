import type { Bucket } from '../eventstore/bucket.ts';
import { backoffMs } from '../eventstore/runtime.ts';
import { isRetryable } from './errors.ts';
import type { Reader } from './reader.ts';
import { openView, type View, type ViewDeps } from './view.ts';

/**
 * One group of a view that is opened again from its stored checkpoint whenever it ends for a reason that passes: an outage, or a
 * bucket that lost its newest writes. Nothing else has to be undone, since every write is fenced.
 */
export interface KeptView {
  /** The view at work now; undefined while it waits to be opened. */
  readonly view: View | undefined;
  /** Its last known checkpoint. */
  readonly position: number;
  /** What it waits out now, or what stopped it for good. */
  readonly lastError: unknown;
  /** Resolves when it has stopped for good: with the error that stopped it, or undefined after `stop`. */
  readonly ended: Promise<unknown>;
  /** Stores what was taken in and the checkpoint, then ends. */
  stop(): Promise<void>;
}

/**
 * `open` gives the view a handle of its own: a handle tells only one of its users that its bucket may have lost rows.
 */
export function keepView(
  deps: Omit<ViewDeps, 'bucket'> & { reader: Reader; open: () => Promise<Bucket> },
): KeptView {
  const { reader, runtime, settings } = deps;
  let bucket: Bucket | undefined;
  let view: View | undefined;
  let position = 0;
  let lastError: unknown;
  let stopped = false;

  const serve = async (): Promise<unknown> => {
    bucket ??= await deps.open();
    const opened = await openView({ ...deps, bucket });
    if (stopped) return undefined;
    view = opened;
    position = opened.checkpoint;
    reader.join(opened);
    const error = await opened.ended;
    position = opened.checkpoint;
    reader.leave(opened);
    view = undefined;
    return error;
  };

  const run = async (): Promise<unknown> => {
    for (let attempt = 0; !stopped; attempt++) {
      const before = position;
      try {
        lastError = await serve();
      } catch (error) {
        lastError = error;
      }
      if (stopped) break;
      if (lastError !== undefined && !isRetryable(lastError)) return lastError;
      if (position > before) attempt = 0;
      await runtime.sleep(backoffMs(runtime, attempt, settings.backoffBaseMs, settings.backoffCapMs));
    }
    return undefined;
  };

  const ended = run();
  return {
    ended,
    get view() {
      return view;
    },
    get position() {
      return view?.checkpoint ?? position;
    },
    get lastError() {
      return view === undefined ? lastError : undefined;
    },
    stop: async () => {
      stopped = true;
      await view?.close();
    },
  };
}
