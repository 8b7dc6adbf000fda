/**
 * The door of the kernel's first part: the log and the way to change it.
 * A `Decider` says what an aggregate is; `createHandler` executes its commands on a `Log`, `openNatsLog` opens one on NATS;
 * buckets keep what derives from the log. Errors carry a stable `code` and whether trying again may help (`retryable`).
 */
export { type AppendEventsResult, appendEvents, stateless } from './append-events.ts';
export type { Bucket, Row, RowWrite, WriteResult } from './bucket.ts';
export { createBoundedCache } from './cache/bounded-cache.ts';
export { createHeapEstimate } from './cache/heap-size.ts';
export {
  type ClaimOutcome,
  type ClaimSettings,
  type ClaimStatus,
  type ClaimSteps,
  type Claims,
  createClaims,
  type HeldClaim,
} from './claims.ts';
export { codecOf, type EventCodec } from './codec/event-codec.ts';
export { type JsonSchema, payloadSchemaOf } from './codec/payload-schema.ts';
export { HIDDEN, hiddenNames, shownEvent, withoutHidden } from './codec/shown-event.ts';
export { bytesOf, type Decided, decidedIn } from './codec/stored-commit.ts';
export type {
  CommandHandler,
  CommandMeta,
  CommandResult,
  ExecuteOptions,
  Expectation,
  Loaded,
} from './command.ts';
export { type CommitAllResult, guard, type Part, part } from './commit-all.ts';
export type {
  AnyDecider,
  Decider,
  EventSchema,
  EventSource,
  Rejection,
  Sections,
  Upcaster,
} from './decider.ts';
export {
  CorruptCommit,
  EventStoreError,
  InvalidId,
  isDamage,
  LogUnavailable,
  mayHeal,
  OutcomeUnknown,
  PermissionDenied,
  reasonOf,
  UnknownEventType,
} from './errors.ts';
export { emptyFold, type Folded, foldCommit, history, loadAt, type Until } from './fold.ts';
export { createHandler, type Handler, type HandlerSettings } from './handler.ts';
export {
  type ForeignMessage,
  type Guard,
  type Lineage,
  type Log,
  type LogBatch,
  type RecordedCommit,
  smallerBatches,
} from './log.ts';
export {
  type Marks,
  type MarkWatch,
  markEvents,
  NO_MARKS,
  readMarks,
  type SkipMark,
  skipPosition,
  undoSkip,
  watchMarks,
} from './marks/marks.ts';
export { trimBucket } from './nats/bucket-bound.ts';
export { createGets, type Gets, messagesOf } from './nats/gets.ts';
export { lineageOf, placeNow, putBackMetadata, storedIn } from './nats/lineage.ts';
export {
  addStream,
  INCARNATION_KEY,
  isStreamMissing,
  type LogStreamSettings,
  logStreamConfig,
  logStreamProblems,
  type OpenedLog,
  openNatsLog,
  probeWrites,
  readLogConfig,
} from './nats/log-stream.ts';
export { bucketStream, createNatsSnapshotStore } from './nats/nats-bucket.ts';
export { type BucketKind, bucketConfig, createNatsBuckets, ensureBucket } from './nats/nats-buckets.ts';
export { readOrdered } from './nats/ordered-reader.ts';
export {
  checkMasterKeys,
  createNatsForgetting,
  createNatsPersonKeys,
  forgottenBucket,
  keyBucket,
  type NatsKeysOptions,
  openKeyBucket,
  personalKinds,
} from './nats/person-keys.ts';
export { createRequests, managerOf, type Requests, writeFault } from './nats/requests.ts';
export { createNatsSnapshotArchive } from './nats/snapshot-archive.ts';
export { HEADER, isConflict, isPassing, parseAck, setTraceHeaders, traceHeadersOf } from './nats/wire.ts';
export { type Around, combineObservers, type StoreObserver } from './observer.ts';
export {
  countKeys,
  createPersonKeys,
  type KeptKeys,
  type PersonKeysOptions,
  type Rewrapped,
  rewrapKeys,
} from './personal/bucket-keys.ts';
export {
  createForgetting,
  type Forgetting,
  type ForgettingOptions,
  type ForgottenPerson,
} from './personal/forgetting.ts';
export type { KeyBucket } from './personal/key-bucket.ts';
export {
  type KeyState,
  KeysUnavailable,
  KeyUnreadable,
  type PersonKey,
  type PersonKeys,
  UnknownMasterKey,
} from './personal/keys.ts';
export { createMasterKeys, type MasterKeys } from './personal/master-keys.ts';
export {
  createPersonalData,
  mayHoldSealed,
  type PersonalData,
  type PersonalDataOptions,
  WITHOUT_KEYS,
} from './personal/personal-data.ts';
export { holdsSealed, isSealed } from './personal/sealed-text.ts';
export { readStoredKey, type StoredKey, type Tombstone, tokenOf } from './personal/stored-key.ts';
export {
  ahead,
  BEGINNING,
  before,
  between,
  comparePositions,
  distance,
  earliest,
  isAfter,
  latest,
  numberOf,
  type Position,
  positionAt,
  positionOf,
  positionOfVersion,
  versionAt,
} from './position.ts';
export {
  type ListedStream,
  type ListStreamsOptions,
  listStreams,
  positionBefore,
  timeOf,
} from './reading/list-streams.ts';
export type { StoredProgress } from './reading/progress.ts';
export { type NumberedEvent, type ReadStreamOptions, readEvents, readStream } from './reading/read-stream.ts';
export { type RecordedEvent, recordedEvents } from './reading/recorded-event.ts';
export {
  type Place,
  type SubscribedEvent,
  type SubscribeFrom,
  type SubscribeOptions,
  subscribe,
} from './reading/subscribe.ts';
export { backoffMs, type Runtime, systemRuntime } from './runtime.ts';
export { type Release, readReleases } from './snapshots/releases.ts';
export { type Remake, type RemakeObserver, startRemake } from './snapshots/remake.ts';
export type { SnapshotSettings, WrongSnapshot } from './snapshots/snapshots.ts';
export type { SnapshotStore } from './snapshots/stored.ts';
export {
  type Control,
  checkStream,
  controlSubject,
  groupOfSlot,
  isControl,
  keyOf,
  type LogFilter,
  SLOTS,
  type SlotGroup,
  type StreamRef,
  slotOf,
  streamOfSubject,
} from './stream.ts';
export { logStore } from './telemetry/logs.ts';
export { labelSets, meterRemake, meterStore } from './telemetry/metrics.ts';
export { ATTRIBUTES, endFailed, markFailed, messaging, within } from './telemetry/spans.ts';
export { traceStore } from './telemetry/traces.ts';
export {
  activeCommitId,
  activeTrace,
  contextOf,
  isSampled,
  parseTrace,
  type StoredTrace,
  storedTraceOf,
  withCommitId,
} from './trace-context.ts';
