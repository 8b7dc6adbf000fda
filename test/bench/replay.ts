import { fromBinary } from '@bufbuild/protobuf';
import { BEGINNING, numberOf } from '../../src/eventstore/position.ts';
import { CommitSchema } from '../../src/gen/jetledger/eventstore/v1/commit_pb.ts';
import { bareReplay, ratePerSecond } from './bare-replay.ts';
import { interleaved, ratioOf, rounded, scaled } from './measure.ts';
import { fillOrders, type OrderLog, openOrderLog } from './order-log.ts';
import type { BenchOptions, ResultRow, Scenario } from './result.ts';

const EVENTS = 1_000_000;
const LEAST = 20_000;

/** The whole log through the product's scan against the client's ordered consumer with a callback. */
export const replayScenario: Scenario = {
  name: 'replay',
  title: 'Replay of the log to a handler',
  run: async ({ rounds, scale, print }: BenchOptions) => {
    await using opened = await openOrderLog();
    const events = scaled(EVENTS, scale, LEAST);
    print(`filling the log with ${events} events`);
    await fillOrders(opened.log, events);
    const end = await opened.log.head();
    const rows: ResultRow[] = [];
    for (const decoded of [false, true]) {
      const work = decoded ? 'a handler that looks at the decisions' : 'a handler that only counts';
      print(work);
      const measured = await interleaved(rounds, {
        product: () => ratePerSecond(() => scan(opened, decoded)),
        bare: () => ratePerSecond(() => bareReplay(opened, numberOf(end), decoded ? decode : ignore)),
      });
      rows.push({
        name: `8. replay of ${events.toLocaleString('en-US')} commits to ${work}`,
        ratio: ratioOf(measured.product, measured.bare),
        ...(decoded ? {} : { goal: 0.9 }),
        product: rounded(measured.product),
        baseline: rounded(measured.bare),
        unit: 'commits/s',
        note: decoded
          ? 'bare: ordered consume, each message decoded by the generated code'
          : 'bare: ordered consume with callback',
      });
    }
    return rows;
  },
};

async function scan({ log }: OrderLog, decoded: boolean): Promise<number> {
  let read = 0;
  for await (const { commits } of log.scan({ after: BEGINNING })) {
    for (const commit of commits) read += decoded ? commit.decisions.length : 1;
  }
  return read;
}

function decode(data: Uint8Array): void {
  if (fromBinary(CommitSchema, data).decisions.length === 0) throw new Error('a commit without decisions');
}

function ignore(): void {}
