import closeWithGrace from 'close-with-grace';
import { startService } from '../main.ts';
import type { Command } from './command.ts';

export const serveCommand: Command = {
  name: 'serve',
  usage: '',
  summary: 'Run the service until Ctrl-C or SIGTERM.',
  help: `Without NATS_URL an embedded nats-server is started on loopback, its data under nats.embedded.dataDir.
With NATS_URL nothing is started, and the log must exist: jetledger topology apply.

Examples:
  jetledger serve
  JETLEDGER_HTTP__PORT=8080 jetledger serve
  NATS_URL=nats://localhost:4222 jetledger serve`,
  run: async (_args, { config, logger }) => {
    const settings = config();
    const log = logger();
    const service = await startService(settings, log);
    await new Promise<void>((resolve) => {
      const grace = closeWithGrace(
        { delay: settings.service.shutdownTimeoutMs, logger: false },
        async ({ signal, err }) => {
          if (err !== undefined) log.fatal({ err }, 'stopping after an unexpected error');
          else log.info({ signal }, 'stopping');
          await service.stop();
          log.info('stopped');
          resolve();
        },
      );
      // Without the embedded server there is nothing to serve from.
      service.lost.then(
        (reason) => {
          log.fatal(reason);
          process.exitCode = 1;
          grace.close();
        },
        () => undefined,
      );
    });
    return 0;
  },
};
