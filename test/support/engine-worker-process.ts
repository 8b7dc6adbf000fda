// Started by tests as a process of its own: runs an engine until it is killed. The value 1 is held until it is told to go on.
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { startEngine } from '../../src/processes/engine/engine.ts';
import { bucketsOf, echoConsumer } from './echo.ts';
import { openTestLog } from './nats-log.ts';

const url = process.argv[2] ?? '';
const handle = await openTestLog(url);
const goOn = new Promise<void>((resolve) => process.once('message', () => resolve()));

const consumer = echoConsumer(handle.log, {
  before: async (value) => {
    if (value !== 1) return;
    process.send?.('holding');
    await goOn;
  },
  refused: () => process.send?.('refused'),
});
startEngine({
  log: handle.log,
  buckets: bucketsOf(handle),
  runtime: systemRuntime,
  consumers: [consumer],
  settings: { instance: 'child' },
});
process.once('disconnect', () => process.exit(0));
