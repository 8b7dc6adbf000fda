import { parseArgs } from 'node:util';
import { applyTopology, planTopology } from '../platform/topology.ts';
import { type Command, UsageError } from './command.ts';
import { openNats } from './open.ts';
import { streamsOf } from './streams.ts';

export const topologyCommand: Command = {
  name: 'topology',
  usage: 'plan | apply [--json]',
  summary: 'Show or create what JetLedger needs on the NATS server.',
  help: `plan   shows what apply would do and changes nothing.
apply  creates the stream of the log, or brings its replicas to the configuration. It refuses whatever could
       lose history. Buckets of read models are made by the service, since they can be rebuilt from the log.

Examples:
  NATS_URL=nats://localhost:4222 jetledger topology plan
  NATS_URL=nats://localhost:4222 jetledger topology apply`,
  run: async (args, { config, print }) => {
    const { positionals, values } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { json: { type: 'boolean', default: false } },
    });
    const [action] = positionals;
    if (action !== 'plan' && action !== 'apply')
      throw new UsageError('Say what to do: jetledger topology plan | apply');
    const nats = await openNats(config(), 'join');
    try {
      const deps = {
        connection: nats.connection,
        log: config().log,
        emailKeyCheck: nats.emailKey.check,
        streams: streamsOf(config()),
      };
      const steps = await (action === 'plan' ? planTopology(deps) : applyTopology(deps));
      if (values.json) print(JSON.stringify(steps, null, 2));
      else for (const step of steps) print(`${step.action.padEnd(7)} ${step.what}: ${step.detail}`);
      return steps.some((step) => step.action === 'refuse') ? 1 : 0;
    } finally {
      await nats.close();
    }
  },
};
