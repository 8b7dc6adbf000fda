import { writeFile } from 'node:fs/promises';

/** A nats-server configuration as plain data. Any key of the server's configuration reference may appear. */
export interface ServerConfig {
  readonly [key: string]: ConfigValue;
}

/** What a configuration may hold. */
export type ConfigValue = string | number | boolean | readonly ConfigValue[] | ServerConfig;

/** Where a server on loopback listens and keeps its data. */
export interface LoopbackOptions {
  /** Client port; -1 = any free one. */
  readonly port: number;
  /** Port of the monitoring endpoint; -1 = any free one. */
  readonly monitorPort: number;
  /** Folder of JetStream's files. */
  readonly storeDir: string;
  /** Folder into which the server writes the ports that it got. */
  readonly portsDir: string;
  /** True: every write is synced to disk before it is acknowledged. False: every two minutes. */
  readonly syncAlways: boolean;
  readonly serverName?: string;
}

/**
 * Configuration of a JetStream server that only this machine can reach.
 * The sync interval can be set in a configuration file only, which is why the embedded server has one.
 */
export function loopbackConfig(options: LoopbackOptions): ServerConfig {
  return {
    ...(options.serverName === undefined ? {} : { server_name: options.serverName }),
    listen: `127.0.0.1:${options.port}`,
    http: `127.0.0.1:${options.monitorPort}`,
    ports_file_dir: options.portsDir,
    jetstream: {
      store_dir: options.storeDir,
      ...(options.syncAlways ? { sync_interval: 'always' } : {}),
    },
  };
}

/** Lays `extra` over `base`: nested sections are merged, everything else is replaced. Neither is changed. */
export function mergeConfig(base: ServerConfig, extra: ServerConfig): ServerConfig {
  const merged: Record<string, ConfigValue> = { ...base };
  for (const [key, value] of Object.entries(extra)) {
    const present = merged[key];
    merged[key] = isSection(present) && isSection(value) ? mergeConfig(present, value) : value;
  }
  return merged;
}

/** Writes the configuration to `path`. The server's own format takes JSON, so nothing needs quoting rules of ours. */
export async function writeConfigFile(path: string, config: ServerConfig): Promise<void> {
  await writeFile(path, `${JSON.stringify(config, null, 2)}\n`, { mode: 0o600 });
}

function isSection(value: ConfigValue | undefined): value is ServerConfig {
  return typeof value === 'object' && !Array.isArray(value);
}
