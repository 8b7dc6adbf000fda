// Started by a test as a process of its own: runs its share of a view until it is killed, and says how many groups it has.
import { createNatsBuckets } from '../../src/eventstore/nats/nats-buckets.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { createMembers } from '../../src/projections/engine/members.ts';
import { defaultProjectionSettings } from '../../src/projections/engine/settings.ts';
import { startProjections } from '../../src/projections/engine/start.ts';
import { openTestLog, TEST_LOG } from '../support/nats-log.ts';
import { MEMBER_MS, wideOrders } from './projections-shared-view.ts';

const { log, requests } = await openTestLog(process.argv[2] ?? '');
const runtime = systemRuntime;
const buckets = createNatsBuckets({ requests, runtime, replicas: 1, timeoutMs: 2_000, announceLosses: true });
const settings = {
  ...defaultProjectionSettings,
  prefix: TEST_LOG.prefix,
  memberMs: MEMBER_MS,
  resolveMs: MEMBER_MS / 5,
};
const sharing = createMembers({ buckets, runtime, settings });
const views = startProjections({ log, buckets, runtime, settings, sharing, projections: [wideOrders] });
setInterval(() => process.send?.(views.status()[0]?.groups?.owned ?? 0), 50);
process.once('disconnect', () => process.exit(0));
