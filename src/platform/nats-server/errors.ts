import { get } from 'node:http';

/** True when the server's monitoring endpoint answers `path` with status 200 within `timeoutMs`. Never throws. */
export function isHealthy(monitorUrl: string, path: string, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const request = get(
      `${monitorUrl}${path}`,
      { agent: false, signal: AbortSignal.timeout(timeoutMs) },
      (response) => {
        response.resume();
        response.once('error', () => resolve(false));
        resolve(response.statusCode === 200);
      },
    );
    request.once('error', () => resolve(false));
  });
}

/** What went wrong with the nats-server program or the embedded server; stable, for callers that branch on it. */
export type NatsServerErrorCode =
  | 'data-folder-in-use'
  | 'port-taken'
  | 'server-too-old'
  | 'server-not-found'
  | 'server-hung'
  | 'start-failed';

/** Base of every error of this folder. The message says what to do; for the first three codes it is one line. */
export class NatsServerError extends Error {
  readonly code: NatsServerErrorCode;

  constructor(code: NatsServerErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** Another live process runs an embedded server on the same data folder. */
export class DataFolderInUse extends NatsServerError {
  readonly pid: number;

  constructor(dataDir: string, pid: number) {
    super(
      'data-folder-in-use',
      `data folder ${dataDir} is in use by process ${pid}: stop that process, or give this one a folder of its own ` +
        'with nats.embedded.dataDir (JETLEDGER_NATS__EMBEDDED__DATA_DIR)',
    );
    this.pid = pid;
  }
}

/** The embedded server of a data folder runs and does not answer. */
export class ServerHung extends NatsServerError {
  constructor(dataDir: string, pid: number) {
    super(
      'server-hung',
      `the embedded server of ${dataDir} (process ${pid}) runs and does not answer: let it go on (kill -CONT ${pid}), ` +
        `or end it (kill -9 ${pid}) and start the service again`,
    );
  }
}

/** The client port asked for is held by something else. */
export class PortTaken extends NatsServerError {
  readonly port: number;

  constructor(port: number) {
    super(
      'port-taken',
      `port ${port} on 127.0.0.1 is taken: stop what listens there, or set another one with nats.embedded.port ` +
        '(JETLEDGER_NATS__EMBEDDED__PORT; -1 = any free port)',
    );
    this.port = port;
  }
}

/** The nats-server program is older than what JetLedger's log needs. */
export class ServerTooOld extends NatsServerError {
  constructor(path: string, version: string, minimum: string) {
    super(
      'server-too-old',
      `${path} is nats-server ${version}, but ${minimum} or later is needed: install a newer one, or point ` +
        'nats.embedded.binary (JETLEDGER_NATS__EMBEDDED__BINARY) at one',
    );
  }
}

/** No usable nats-server program was found and none could be fetched; the message lists every attempt. */
export class ServerNotFound extends NatsServerError {
  constructor(message: string) {
    super('server-not-found', message);
  }
}

/** The server was started and did not become ready; the message carries the last lines of its log. */
export class ServerStartFailed extends NatsServerError {
  constructor(message: string, options?: ErrorOptions) {
    super('start-failed', message, options);
  }
}
