import type { Logger } from 'pino';
import type { Forgetting, Log, PersonalData } from '../eventstore/index.ts';
import type { SettingSource } from '../platform/config/load.ts';
import type { Config } from '../platform/config/schema.ts';
import type { Tracing } from '../platform/telemetry/tracing.ts';
import type { Metering } from './metering.ts';
import type { Nats } from './open.ts';

/** What the parts of a process are built from. */
export interface Base {
  readonly config: Config;
  /** Where each setting comes from; undefined where that is not known. */
  readonly sources: ReadonlyMap<string, SettingSource> | undefined;
  readonly logger: Logger;
  readonly nats: Nats;
  readonly log: Log;
  readonly personal: PersonalData;
  /** Where this process may destroy keys of persons. */
  readonly forgetting: Forgetting | undefined;
  readonly metering: Metering | undefined;
  readonly tracing: Tracing | undefined;
}
