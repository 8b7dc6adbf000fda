import { join, resolve } from 'node:path';

/** Where the embedded server's files lie inside its data folder. */
export interface ServerFiles {
  readonly dataDir: string;
  readonly config: string;
  readonly log: string;
  readonly pid: string;
  readonly ports: string;
  readonly store: string;
}

/** Absolute paths for the data folder given. */
export function serverFiles(dataDir: string): ServerFiles {
  const root = resolve(dataDir);
  return {
    dataDir: root,
    config: join(root, 'nats-server.conf'),
    log: join(root, 'nats-server.log'),
    pid: join(root, 'nats-server.pid'),
    ports: join(root, 'ports'),
    store: join(root, 'data'),
  };
}
