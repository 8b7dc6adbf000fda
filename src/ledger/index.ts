/**
 * The door of the kernel as a whole. `openLedger` opens everything at once; the functions that it is made of stand beside
 * it, for a service that takes them one by one. The other doors hold what they give and take.
 */
export type { Decider, Rejection } from '../eventstore/index.ts';
export { NatsUnusable } from '../platform/nats-connection.ts';
export { NatsServerError } from '../platform/nats-server/errors.ts';
export type { Reaction } from '../processes/engine/index.ts';
export type { Projection } from '../projections/engine/index.ts';
export { commandBuckets, type KernelBucket, viewBuckets } from './buckets.ts';
export { type OpenCommandsOptions, openCommands } from './commands.ts';
export { openLedger } from './ledger.ts';
export { isSameLog, type LogSettings, type OpenLogOptions, openLog } from './log.ts';
export { type MakeLedgerOptions, makeLedger } from './make.ts';
export type { Ledger, LedgerOptions, LedgerParts, LedgerStatus } from './options.ts';
export { type OpenPersonalOptions, openForgetting, openPersonal, type PersonalOptions } from './personal.ts';
export {
  type OpenServerOptions,
  openRequests,
  openServer,
  type Server,
  type ServerSettings,
} from './server.ts';
export type { LedgerNats, LedgerSettings } from './settings.ts';
export type { FreshOptions, FreshPage, LedgerView, RowOf } from './view.ts';
export { feedOfViews, type KeepViews, type OpenedViews, type OpenViewsOptions, openViews } from './views.ts';
