import { startTestServer } from '../../src/testing/nats-server.ts';
import { createLogStream } from '../support/nats-log.ts';
import { interleaved, perSecond, ratioOf, rounded, scaled, secondsOf } from './measure.ts';
import { executeOn, fill, openProduct, type Product } from './product.ts';
import type { BenchOptions, ResultRow, Scenario } from './result.ts';

const COMMITS_EACH = 10;
/** Aggregates that are in use; spread over the whole log. */
const WORKING_SET = 800;

/** Whether a cold command depends on how large the log is. */
export const scaleScenario: Scenario = {
  name: 'scale',
  title: 'Cold commands in a small and in a large log, default sync',
  run: async ({ rounds, scale, print }: BenchOptions) => {
    await using largeServer = await startTestServer();
    await using smallServer = await startTestServer();
    const [small, large] = [scaled(70_000, scale, 20_000), scaled(1_000_000, scale, 100_000)];
    const open = async (url: string, commits: number) => {
      print(`filling a log with ${commits} commits`);
      await createLogStream(url);
      const product = await openProduct(url, false);
      const ids = Array.from({ length: commits / COMMITS_EACH }, (_, i) => `a-${i}`);
      await fill(product, ids, COMMITS_EACH);
      return { product, ids };
    };
    const [a, b] = [await open(largeServer.url, large), await open(smallServer.url, small)];
    await using _large = a.product;
    await using _small = b.product;
    const seconds = secondsOf(scale);
    const rows: ResultRow[] = [];
    const compare = async (
      name: string,
      pick: (ids: readonly string[]) => readonly string[],
      goal?: number,
    ) => {
      print(name);
      const [inLarge, inSmall] = [commandsOn(a.product, pick(a.ids)), commandsOn(b.product, pick(b.ids))];
      const measured = await interleaved(rounds, {
        large: () => inLarge(seconds),
        small: () => inSmall(seconds),
      });
      rows.push({
        name: `${name}, ${large.toLocaleString('en-US')} commits / ${small.toLocaleString('en-US')}`,
        ...(goal === undefined ? {} : { goal }),
        ratio: ratioOf(measured.large, measured.small),
        product: rounded(measured.large),
        baseline: rounded(measured.small),
        unit: 'commands/s',
      });
    };
    await compare('6. cold command, aggregates in use', inUse, 0.7);
    await compare('6. cold command, aggregates not touched since the log was filled', untouched);
    return rows;
  },
};

/** Spread evenly over the log. */
function inUse(ids: readonly string[]): readonly string[] {
  const step = Math.floor(ids.length / WORKING_SET) || 1;
  return ids.filter((_, i) => i % step === 0).slice(0, WORKING_SET);
}

/** The others, in an order that jumps. */
function untouched(ids: readonly string[]): readonly string[] {
  const used = new Set(inUse(ids));
  return ids.map((_, i) => ids[(i * 7_919) % ids.length] ?? '').filter((id) => !used.has(id));
}

/** Cold: every command starts from a snapshot. The order goes on from one round to the next. */
function commandsOn(product: Product, ids: readonly string[]): (seconds: number) => Promise<number> {
  const handler = product.handler({ cacheEntries: 0 });
  let next = 0;
  return (seconds) => perSecond(1, seconds, () => executeOn(handler, ids[next++ % ids.length] ?? ''));
}
