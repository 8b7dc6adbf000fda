import { parseArgs } from 'node:util';
import {
  applyBuckets,
  applyTopology,
  planBuckets,
  planTopology,
  type TopologyDeps,
} from '../platform/topology.ts';
import { newLogPrivacy } from '../service/open.ts';
import { plannedBuckets, plannedViews, streamsOf } from '../service/topology.ts';
import { ownStreams, withNats } from '../service/with-nats.ts';
import { type Command, UsageError } from './command.ts';

export const topologyCommand: Command = {
  name: 'topology',
  usage: 'plan | apply [--views] [--new-log] [--json]',
  summary: 'Show or create what JetLedger needs on the NATS server.',
  help: `plan   shows what apply would do, field by field, and changes nothing
apply  creates the streams and buckets that are missing, and brings what differs to the configuration: replicas, and
       how long notifications are kept

Kept for ever: the log. Kept for a while: notifications (notifications.keepMs). Kept until they are done: timers, parked
events. It refuses whatever could lose history, and removes nothing. Buckets of views are made with their views.

A log that is not there is made only where none can be that the server merely cannot read (another key, another disk):
nothing of an old one is left, and the monitoring of each server (nats.monitorUrls) says that it has read back all of
its own.

  --views    the buckets of the views instead, where they are in an account of their own; apply with the projector's key
  --new-log  you vouch that the server never held a log, where its monitoring is not named or does not answer
  --json     print the steps as JSON

Exit code 1 when something is refused.

Examples:
  NATS_URL=nats://localhost:4222 jetledger topology plan
  NATS_URL=nats://localhost:4222 jetledger topology apply --json`,
  run: async (args, { config, print }) => {
    const { positionals, values } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        json: { type: 'boolean', default: false },
        views: { type: 'boolean', default: false },
        'new-log': { type: 'boolean', default: false },
      },
    });
    const [action] = positionals;
    if ((action !== 'plan' && action !== 'apply') || positionals.length > 1)
      throw new UsageError('Say what to do: jetledger topology plan | apply');
    const steps = await withNats(config(), async (nats) => {
      if (values.views) {
        const { viewRequests } = nats;
        const planned = plannedViews(config(), await ownStreams(config(), viewRequests));
        return await (action === 'plan' ? planBuckets : applyBuckets)(viewRequests, planned);
      }
      const deps: TopologyDeps = {
        requests: nats.requests,
        log: config().log,
        emailKeyCheck: nats.emailKey.check,
        privacy: newLogPrivacy(config(), nats),
        streams: streamsOf(config()),
        buckets: plannedBuckets(config(), await ownStreams(config(), nats.requests)),
        monitorUrls: nats.monitorUrls,
        newLog: values['new-log'],
      };
      return action === 'plan' ? planTopology(deps) : applyTopology(deps);
    });
    if (values.json) print(JSON.stringify(steps, null, 2));
    else for (const step of steps) print(`${step.action.padEnd(7)} ${step.what}: ${step.detail}`);
    return steps.some((step) => step.action === 'refuse') ? 1 : 0;
  },
};
