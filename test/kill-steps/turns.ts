import { until } from '../../src/testing/until.ts';
import type { CrashPoint } from './calls.ts';

/** From placing an order until its worker has died, in milliseconds. */
const LONGEST_TURN_MS = 30_000;
const TRIES = 3;
/** Each further try leaves so many times more before the payment is due. */
const MORE_TIME = 4;

/** The point that an order, or a further one for the same point, was placed for. */
export const pointIdOf = (orderId: string): string => orderId.replace(/-try\d$/, '');

/**
 * Places an order for each point, as many at once as there are workers, and waits until a worker has died there. Where
 * nobody comes by, because a busy machine let the deadline come first, another order is placed.
 * @param place places an order; `moreTime` multiplies the time until its payment is due
 * @returns what could not be asked for, as sentences
 */
export async function takeTurns(deps: {
  readonly points: readonly CrashPoint[];
  readonly workers: number;
  readonly place: (orderId: string, moreTime: number) => Promise<void>;
  readonly isReached: (index: number) => Promise<boolean>;
}): Promise<string[]> {
  const { points, workers, place, isReached } = deps;
  const refused: string[] = [];
  let next = 0;

  const turn = async (index: number, { orderId, call, moment }: CrashPoint): Promise<void> => {
    for (let tries = 1; tries <= TRIES; tries++) {
      const id = tries === 1 ? orderId : `${orderId}-try${tries}`;
      await place(id, MORE_TIME ** (tries - 1)).catch((error: unknown) => refused.push(String(error)));
      const what = `a worker dies ${moment} ${call}`;
      await until(what, () => isReached(index), LONGEST_TURN_MS).catch(() => undefined);
      if (await isReached(index)) return;
    }
  };
  const worker = async (): Promise<void> => {
    for (let index = next++; index < points.length; index = next++) {
      const point = points[index];
      if (point !== undefined) await turn(index, point);
    }
  };
  await Promise.all(Array.from({ length: workers }, worker));
  return refused;
}
