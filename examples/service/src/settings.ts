/** What the environment says. */
export interface Settings {
  readonly host: string;
  readonly port: number;
  /** `nats://host:port`; empty = an embedded server, with its data in `.jetledger`. */
  readonly natsUrl: string;
  /** Where the servers' monitoring answers, which says whether they sync; empty = not known. */
  readonly natsMonitorUrls: string;
  readonly logLevel: string;
}

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'];

/** Reads the variables. @throws RangeError that names the variable and what it takes */
export function readSettings(env: Readonly<Record<string, string | undefined>>): Settings {
  const {
    HOST = '127.0.0.1',
    PORT = '3000',
    LOG_LEVEL = 'info',
    NATS_URL = '',
    NATS_MONITOR_URLS = '',
  } = env;
  if (!/^\d{1,5}$/.test(PORT) || Number(PORT) > 65_535)
    throw new RangeError(`PORT: ${JSON.stringify(PORT)} is no port. Take a number from 0 to 65535.`);
  if (!LEVELS.includes(LOG_LEVEL))
    throw new RangeError(
      `LOG_LEVEL: ${JSON.stringify(LOG_LEVEL)} is none. Take one of ${LEVELS.join(', ')}.`,
    );
  return {
    host: HOST,
    port: Number(PORT),
    natsUrl: NATS_URL,
    natsMonitorUrls: NATS_MONITOR_URLS,
    logLevel: LOG_LEVEL,
  };
}
