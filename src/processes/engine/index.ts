/**
 * The door of the kernel's third part: reactions to events, in groups that instances share, with retries and dead letters.
 * A `Reaction` handles commits; `startEngine` runs reactions, timers and work queues stand beside it.
 */

export {
  type Cause,
  CommandConflict,
  causedByTimer,
  GiveUp,
  type ReactionContext,
  type Reply,
  RetryLater,
  reactionContext,
} from './cause.ts';
export { checkGroups, createControl } from './control.ts';
export type { CursorValue } from './cursor.ts';
export { type DeadLetterCause, groupByCause } from './dead-letters/causes.ts';
export { type DeadLetter, parseEntryKey } from './dead-letters/entry.ts';
export { type GivenUpMessage, openMessageDeadLetters } from './dead-letters/messages.ts';
export {
  createDeadLetterPort,
  type DeadLetterAnswer,
  type DeadLetterFilter,
  type DeadLetterPort,
} from './dead-letters/operator-port.ts';
/** For who marks dead letters and wants to know what came of it. */
export { awaitOutcomes, type MarkedOutcome } from './dead-letters/outcomes.ts';
export { filterOf } from './delivery.ts';
export { type Engine, startEngine } from './engine.ts';
export { OwnershipLost } from './errors.ts';
export {
  type MessageReaction,
  type MessageStream,
  openMessageStream,
  type StreamMessage,
} from './message-stream.ts';
export type { DeliveryAttempt, EngineObserver } from './observer.ts';
export {
  CONTROL,
  type ControlValue,
  GROUPS,
  groupKey,
  LEASE,
  SESSION,
  type SessionValue,
} from './ownership.ts';
export {
  type CommandEffect,
  command,
  effectsOf,
  type Happened,
  type Process,
  type Route,
  runProcess,
  runProcessTimer,
  type StandardEffect,
  type Step,
} from './process.ts';
export { type AsyncApi, asyncApiOf, type DocumentedContract } from './publishing/async-api.ts';
export {
  type CarriedMessage,
  type PublicFormat,
  publicEventOf,
} from './publishing/cloud-event.ts';
export { onPublicEvents, type PublicReaction } from './publishing/consumer.ts';
export {
  type AnyContract,
  contractName,
  type PublicContract,
  type PublicEvent,
  publicOf,
  type ToPublic,
} from './publishing/contract.ts';
export {
  isPublicStream,
  openPublicStream,
  publicMarks,
  publicStreamConfig,
  publicStreamName,
  publicStreamObjection,
  publicStreamProblems,
  publicSubject,
} from './publishing/public-stream.ts';
export { createPublisher, type PublicStream, publisherName } from './publishing/publisher.ts';
export {
  type ConsumedEvent,
  type ConsumerStatus,
  type Delivery,
  type Policy,
  type Reaction,
  type RetrySettings,
  retryPolicy,
  type Verdict,
} from './reaction.ts';
export { type Buckets, bucketNames, parseRow, toBytes, writeRow } from './rows.ts';
export { defaultEngineSettings, type EngineSettings } from './settings.ts';
export { pause } from './signal.ts';
export { type Start, startKey } from './start.ts';
export { logEngine } from './telemetry/logs.ts';
export { boundedLabel, meterEngine } from './telemetry/metrics.ts';
export { consume, messageTraces, traceEngine } from './telemetry/traces.ts';
export {
  createNatsTimers,
  timersStream,
  timersStreamConfig,
  timersStreamProblems,
} from './timers/nats-timers.ts';
export {
  countOverdueTimers,
  createTimerList,
  type TimerList,
  type WaitingTimer,
} from './timers/timer-list.ts';
export type { Timer, Timers } from './timers/timers.ts';
export { publishOnce, startWorkQueue, type WorkResult } from './timers/work-queue.ts';
export type { OwnedShare, Worker, WorkerShare } from './worker.ts';
