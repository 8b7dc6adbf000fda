import { startTestServer } from '../../src/testing/nats-server.ts';
import { createLogStream, openTestLog, TEST_LOG } from '../support/nats-log.ts';
import { interleaved, perSecond, ratioOf, rounded, secondsOf } from './measure.ts';
import { boundsOf } from './product.ts';
import type { BenchOptions, ResultRow, Scenario } from './result.ts';
import { appendThrough, freshAggregates, openBare, publishThrough } from './sides.ts';

const LOADS = [
  { name: '1. append of one commit, one writer / js.publish with expectation', callers: 1, goal: 1 },
  { name: '2. the same, 64 in flight', callers: 64, goal: 1.3 },
] as const;

/** What the kernel's own way of publishing costs or saves beside the client's. */
export const appendScenario: Scenario = {
  name: 'append',
  title: 'Appending, one server with default sync',
  run: async ({ rounds, scale, print }: BenchOptions) => {
    await using server = await startTestServer();
    await createLogStream(server.url);
    await using product = await openTestLog(server.url, TEST_LOG, boundsOf(false));
    await using bare = await openBare(server.url);
    const seconds = secondsOf(scale);
    const rows: ResultRow[] = [];
    for (const { name, callers, goal } of LOADS) {
      print(name);
      const measured = await interleaved(rounds, {
        product: () => each(callers, seconds, appendThrough(product.log)),
        bare: () => each(callers, seconds, publishThrough(bare.js)),
      });
      const [own, other] = [measured.product, measured.bare];
      rows.push({
        name,
        goal,
        ratio: ratioOf(own, other),
        product: rounded(own),
        baseline: rounded(other),
        unit: 'commits/s',
      });
    }
    return rows;
  },
};

/** Every caller works on an aggregate of its own. */
function each(callers: number, seconds: number, append: ReturnType<typeof appendThrough>): Promise<number> {
  const aggregates = freshAggregates(callers);
  return perSecond(callers, seconds, async (caller) => {
    const aggregate = aggregates[caller];
    return aggregate !== undefined && append(aggregate);
  });
}
