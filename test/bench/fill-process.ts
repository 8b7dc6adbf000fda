import { createNatsBuckets } from '../../src/eventstore/nats/nats-buckets.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { createMembers } from '../../src/projections/engine/members.ts';
import { defaultProjectionSettings } from '../../src/projections/engine/settings.ts';
import { startProjections } from '../../src/projections/engine/start.ts';
import { orders } from '../../src/projections/views/orders.ts';
import { openTestLog } from '../support/nats-log.ts';
import { FILL_GROUPS } from './fill.ts';

/** One of the processes that fill `orders` together: shows itself to the others, starts when told, tells its CPU. */
const [url = '', prefix = ''] = process.argv.slice(2);
const runtime = systemRuntime;
const { log, requests } = await openTestLog(url);
const buckets = createNatsBuckets({
  requests,
  runtime,
  replicas: 1,
  timeoutMs: 15_000,
  announceLosses: true,
});
const sharing = createMembers({ buckets, runtime, settings: { ...defaultProjectionSettings, prefix } });
await sharing.groupsOf(orders.name, FILL_GROUPS);

let before = process.cpuUsage();
process.on('disconnect', () => process.exit(0));
process.on('message', (told: 'start' | 'cpu') => {
  if (told === 'start') {
    before = process.cpuUsage();
    const settings = { prefix, groups: FILL_GROUPS } as const;
    startProjections({ log, buckets, projections: [orders], runtime, settings, sharing });
    return;
  }
  const { user, system } = process.cpuUsage(before);
  process.send?.(user + system);
});
process.send?.('ready');
