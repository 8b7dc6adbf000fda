import { toolOptions } from '../support/tool-options.ts';
import { formatReport, isClean } from './report.ts';
import { runSoak } from './run.ts';

const USAGE = `npm run soak -- [--orders 20000] [--instances 3] [--faults] [--seed N] [--deadline SECONDS] [--webhooks N]
                   [--fulfilment]

Starts a real nats-server and so many service processes on it, and places orders that succeed, fail at every step,
are cancelled, shipped, refunded and sent twice. Then the log is folded and compared with the payment provider's ledger.

  --orders N      how many orders are placed
  --instances N   service processes that share the work
  --faults        kill -9 of an instance or of nats-server, and instances that hang, every few seconds
  --seed N        chooses orders, times and faults; what the processes make of them differs from run to run
  --deadline N    seconds within which an order must be paid
  --webhooks N    receivers of all public events of orders, of which the first three are bad; what each got is compared
  --fulfilment    two processes of examples/fulfilment ship what is confirmed, and are killed, too; each order that was
                  confirmed is compared with its shipment

Exit code 0: every order came to rest, nothing was parked, stock and money agree to the cent, no instance logged an
error. 1: not so. 2: usage.`;

const values = toolOptions(USAGE, {
  orders: { type: 'string', default: '20000' },
  instances: { type: 'string', default: '3' },
  faults: { type: 'boolean', default: false },
  seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  deadline: { type: 'string', default: '30' },
  webhooks: { type: 'string', default: '0' },
  fulfilment: { type: 'boolean', default: false },
});
const { orders, instances, seed, deadline } = {
  orders: Number(values.orders),
  instances: Number(values.instances),
  seed: Number(values.seed),
  deadline: Number(values.deadline),
};
const webhooks = Number(values.webhooks);
if (
  ![orders, instances, seed, deadline, webhooks + 1].every(
    (number) => Number.isSafeInteger(number) && number > 0,
  )
) {
  console.error(USAGE);
  process.exit(2);
}

console.log(
  `soak: ${orders} orders, ${instances} instances, ${values.faults ? '--faults ' : ''}--seed ${seed}`,
);
const report = await runSoak({
  orders,
  instances,
  seed,
  faults: values.faults ? 'random' : 'none',
  paymentDeadlineMs: deadline * 1_000,
  maxOpen: 400,
  webhooks,
  fulfilment: values.fulfilment,
  restWithinMs: deadline * 1_000 + 120_000,
  onProgress: (line) => console.log(line),
});
console.log(formatReport(report));
process.exit(isClean(report) ? 0 : 1);
