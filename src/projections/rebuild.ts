import type { Log } from '../eventstore/log.ts';
import type { Runtime } from '../eventstore/runtime.ts';
import { bucketsOf, createAliases } from './aliases.ts';
import { type BesideOptions, buildBeside, type RebuildProgress } from './beside.ts';
import type { Buckets } from './buckets.ts';
import { createFactDecoder } from './facts.ts';
import type { Projection } from './projection.ts';
import { createReader } from './reader.ts';
import { defaultProjectionSettings, type ProjectionSettings } from './settings.ts';

export interface RebuildResult {
  /** The bucket that now holds the view. */
  readonly bucket: string;
  /** False when another process pointed the view elsewhere meanwhile; the filled bucket is then left alone. */
  readonly switched: boolean;
  /** Older buckets that were deleted; the one that was live until now is kept until the next rebuild. */
  readonly dropped: readonly string[];
}

/**
 * Replays the log into a fresh bucket beside the live one and switches to it. A running service notices within
 * `resolveMs` and goes on from the new bucket's checkpoint; nobody has to be restarted.
 * @throws PoisonEvent when an event cannot be applied, LogUnavailable; the live bucket is then as it was
 */
export async function rebuild(deps: {
  log: Log;
  buckets: Buckets;
  projection: Projection;
  runtime: Runtime;
  settings?: Partial<ProjectionSettings>;
  onProgress?: (progress: RebuildProgress) => void;
  signal?: AbortSignal;
}): Promise<RebuildResult> {
  const { log, buckets, projection, runtime } = deps;
  const settings = { ...defaultProjectionSettings, ...deps.settings };
  const aliases = createAliases(buckets, settings.prefix);
  const decode = createFactDecoder(projection.sources);
  const reader = createReader({ log, decode, runtime, settings });
  const live = await aliases.read(projection.name);
  const options: BesideOptions = { resume: false, onProgress: deps.onProgress, signal: deps.signal };
  try {
    const engine = { log, buckets, aliases, decode, runtime, settings, reader };
    const { bucket, switched } = await buildBeside(engine, projection, live, options);
    const keep = new Set([bucket, live?.alias.bucket]);
    const dropped: string[] = [];
    for (const { name } of switched ? await bucketsOf(buckets, settings.prefix, projection.name) : []) {
      if (keep.has(name)) continue;
      await buckets.drop(name);
      dropped.push(name);
    }
    return { bucket, switched, dropped };
  } finally {
    reader.stop();
  }
}
