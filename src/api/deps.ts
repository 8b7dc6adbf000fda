import type { FastifyBaseLogger } from 'fastify';
import type { UseCases } from '../app/use-cases.ts';
import type { CommandHandler } from '../eventstore/command.ts';
import type { Log } from '../eventstore/log.ts';
import type { Runtime } from '../eventstore/runtime.ts';
import type { ReadModels } from '../projections/read-models.ts';

/** What readiness says; every failing reason at once. */
export interface Readiness {
  readonly ok: boolean;
  readonly checks: Readonly<Record<string, { readonly ok: boolean; readonly detail?: string | undefined }>>;
}

export interface ApiSettings {
  /** The largest request body, in bytes. */
  readonly bodyLimitBytes: number;
  /** How long a client may take to send its request, in milliseconds. */
  readonly requestTimeoutMs: number;
  /** For example `development`; shown by health. */
  readonly environment: string;
  /** Of the service; shown by health and the OpenAPI document. */
  readonly version: string;
}

/** What the routes need to answer. */
export interface ServiceDeps {
  readonly handler: CommandHandler;
  readonly useCases: UseCases;
  /** For the history of an order. */
  readonly log: Log;
  readonly readModels: ReadModels;
  readonly runtime: Runtime;
  readonly health: { ready(): Promise<Readiness> };
  readonly settings: ApiSettings;
}

/** Everything the API is built from. */
export interface AppDeps extends ServiceDeps {
  /** A pino instance, or false for silence. */
  readonly logger: FastifyBaseLogger | false;
}
