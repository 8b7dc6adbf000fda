import type { Log, Marks, Runtime } from '../../eventstore/index.ts';
import type { Aliases, Buckets } from './aliases.ts';
import type { FactDecoder } from './facts.ts';
import type { ProjectionObserver } from './observer.ts';
import type { Reader } from './reader.ts';
import type { ProjectionSettings } from './settings.ts';

/** What every part that runs views needs. */
export interface EngineDeps {
  readonly log: Log;
  readonly buckets: Buckets;
  readonly aliases: Aliases;
  readonly decode: FactDecoder;
  readonly runtime: Runtime;
  readonly settings: ProjectionSettings;
  readonly reader: Reader;
  readonly observer: ProjectionObserver | undefined;
  /** What the views pass over. */
  readonly marks: Marks;
}
