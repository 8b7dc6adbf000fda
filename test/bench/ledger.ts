import type { Handler } from '../../src/eventstore/handler.ts';
import { openLedger } from '../../src/ledger/index.ts';
import { startTestServer } from '../../src/testing/nats-server.ts';
import { createLogStream } from '../support/nats-log.ts';
import { interleaved, perSecond, ratioOf, rounded, secondsOf } from './measure.ts';
import { executeOn, openProduct } from './product.ts';
import type { ResultRow, Scenario } from './result.ts';
import { tally } from './tally.ts';

const IDS = Array.from({ length: 1_000 }, (_, n) => `warm-${n}`);
const CALLERS = [1, 16];

/** What `openLedger` costs a warm command, beside a handler that was put together by hand. */
export const ledgerScenario: Scenario = {
  name: 'ledger',
  title: '`openLedger` beside the bare handler, default sync',
  run: async ({ rounds, scale }) => {
    await using server = await startTestServer();
    await createLogStream(server.url);
    await using product = await openProduct(server.url, false);
    const ledger = await openLedger({
      nats: { url: server.url, monitorUrls: server.monitorUrl },
      prefix: 'ledger',
      aggregates: [tally],
      settings: { log: { durability: 'none' } },
      onTrouble: () => undefined,
    });
    const bare = product.handler();
    const rows: ResultRow[] = [];
    for (const callers of CALLERS) {
      const side = (handler: Pick<Handler, 'execute'>) => {
        let next = 0;
        return () =>
          perSecond(callers, secondsOf(scale), () => executeOn(handler, IDS[next++ % IDS.length] ?? ''));
      };
      const sides = { product: side(ledger), baseline: side(bare) };
      const { product: own, baseline } = await interleaved(rounds, sides);
      rows.push({
        name: `4. warm command, ${callers} in flight: openLedger / bare handler`,
        product: rounded(own),
        baseline: rounded(baseline),
        ratio: ratioOf(own, baseline),
        goal: 0.97,
        unit: 'commands/s',
      });
    }
    await ledger.close();
    return rows;
  },
};
