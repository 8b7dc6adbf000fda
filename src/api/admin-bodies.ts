import type { ConsumerHere, ConsumerStanding, ParkedCommit, ParkedResult } from './deps.ts';
import type { ConsumerBody, ParkedBody, ParkedSummaryBody } from './schemas/admin.ts';

/** A parked commit as a line of a list. */
export function parkedSummary(entry: ParkedCommit): ParkedSummaryBody {
  const { error } = entry;
  return {
    ...commonFields(entry),
    eventTypes: entry.events.map(({ type }) => type),
    ...(error && { error: { name: error.name, message: error.message } }),
  };
}

/** A parked commit with everything that is kept of it. */
export function parkedBody(entry: ParkedCommit): ParkedBody {
  const { commitId, events, error } = entry;
  return {
    ...commonFields(entry),
    commitId,
    events: events.map(({ type, schemaVersion, payload }) => ({ type, schemaVersion, payload })),
    ...(error && { error: { name: error.name, message: error.message, stack: error.stack } }),
  };
}

/** What was marked, by name. */
export function markedBody({ marked, changed }: ParkedResult, dryRun: boolean): object {
  return { dryRun, marked: marked.map(namesOf), changed: changed.map(namesOf) };
}

/** A consumer's standing with its times in ISO 8601. */
export function consumerBody(standing: ConsumerStanding): ConsumerBody {
  const { consumer, lag, lagSeconds, oldest, parked, paused, groups, here } = standing;
  return {
    consumer,
    lag,
    lagSeconds,
    ...(oldest && { oldest: { position: oldest.position, at: isoTime(oldest.at) } }),
    parked,
    paused,
    groups,
    ...(here && { here: localBody(here) }),
  };
}

function localBody({ lastError, groups, ...counts }: ConsumerHere): NonNullable<ConsumerBody['here']> {
  const { held, running, retrying, retries, stopped } = counts;
  const error = lastError !== undefined && { lastError };
  return { groups: [...groups], held, running, retrying, retries, stopped, ...error };
}

function commonFields(entry: ParkedCommit) {
  const { behind, attempts, firstAt, lastAt, traceId, request } = entry;
  return {
    ...namesOf(entry),
    behind,
    attempts,
    ...(attempts > 0 && { firstAt: isoTime(firstAt), lastAt: isoTime(lastAt) }),
    ...(traceId !== '' && { traceId }),
    ...(request && { request: { requested: request.requested, by: request.by, at: isoTime(request.at) } }),
  };
}

function namesOf({ consumer, category, id, position }: ParkedCommit) {
  return { consumer, category, id, position };
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
