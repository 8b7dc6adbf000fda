import { parseArgs } from 'node:util';
import closeWithGrace from 'close-with-grace';
import type { Logger } from 'pino';
import { readEnvironment } from '../platform/config/environment.ts';
import { configDir, settingSources } from '../platform/config/load.ts';
import { ShutdownIncomplete } from '../platform/lifecycle.ts';
import { linesWritten } from '../platform/logger.ts';
import { type Service, startService } from '../service/start.ts';
import type { Command } from './command.ts';

export const serveCommand: Command = {
  name: 'serve',
  usage: '[--roles api,projections,processes]',
  summary: 'Run the service until Ctrl-C or SIGTERM.',
  help: `Without NATS_URL an embedded nats-server is started on loopback, its data under nats.embedded.dataDir.
With NATS_URL nothing is started, and the log must exist: jetledger topology apply.

--roles says what this process does (service.roles): api answers requests, projections keeps the read models,
processes reacts to events. One process may do all of it, or many share the work on one NATS server. A process
without the role api answers /health/* and /metrics only.

Examples:
  jetledger serve
  JETLEDGER_HTTP__PORT=8080 jetledger serve
  NATS_URL=nats://localhost:4222 jetledger serve
  NATS_URL=nats://localhost:4222 PORT=3001 jetledger serve --roles projections,processes`,
  run: async (args, { config, logger }) => {
    const { values } = parseArgs({ args: [...args], options: { roles: { type: 'string' } } });
    const variables = values.roles === undefined ? {} : { JETLEDGER_SERVICE__ROLES: values.roles };
    const settings = config(variables);
    const log = logger();
    const env = { ...readEnvironment(), ...variables };
    const sources = settingSources({ env, dir: configDir(env) });
    const service = await endable(log, () => startService(settings, log, { sources }));
    return serveUntilStopped(service, log, settings.service.shutdownTimeoutMs);
  },
};

/**
 * A signal during the start ends the process at once: nothing is served yet, and an embedded server follows. Said
 * outright, since the first process of a container passes over a signal that it does not handle.
 */
async function endable<T>(log: Logger, start: () => Promise<T>): Promise<T> {
  const end = (signal: NodeJS.Signals): void => {
    log.warn({ signal }, 'stopped while starting');
    process.exit(1);
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, end);
  try {
    return await start();
  } finally {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.removeListener(signal, end);
  }
}

/** Never resolves: the process ends with 0 when it was asked to, and with 1 for any other reason. */
function serveUntilStopped(service: Service, log: Logger, delay: number): Promise<never> {
  let stopping = false;
  let lost: string | undefined;
  const onTimeout = () =>
    log.fatal({ left: service.left() }, `stopping took longer than ${delay} ms and is given up`);
  const grace = closeWithGrace({ delay, logger: false, onTimeout }, async ({ signal, err }) => {
    stopping = true;
    if (err !== undefined) log.fatal({ err }, 'stopping after an unexpected error');
    else log.info({ signal }, 'stopping');
    try {
      await service.stop();
      log.info('stopped');
    } catch (err) {
      if (err instanceof ShutdownIncomplete) log.fatal({ left: err.left }, err.message);
      else log.fatal({ err }, 'could not stop cleanly');
      throw err;
    } finally {
      await linesWritten(log);
    }
    // Whatever is thrown here makes the exit code 1.
    if (lost !== undefined) throw new Error(lost);
  });
  // Without the embedded server there is nothing to serve from. It also ends when we stop it.
  void service.lost.then((reason) => {
    if (stopping) return;
    lost = reason;
    log.fatal(reason);
    grace.close();
  });
  return new Promise(() => undefined);
}
