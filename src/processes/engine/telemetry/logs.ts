import { reasonOf } from '../../../eventstore/index.ts';
import type { DeliveryAttempt, EngineObserver, Outcome } from '../observer.ts';

/** What is needed of a logger; pino fits. */
export interface EngineLogger {
  isLevelEnabled(level: string): boolean;
  debug(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

const TRACE_ID = /^[0-9a-f]{2}-([0-9a-f]{32})-/;

/**
 * A line for each try of a consumer: at debug what was handled, at warn what is tried again, at error what became a
 * dead letter or stops the consumer. With the ids of the commit and of its trace.
 */
export function logEngine(logger: EngineLogger): EngineObserver {
  return {
    outcome: (tried, outcome, error) => {
      const level = LEVELS[outcome];
      if (!logger.isLevelEnabled(level)) return;
      const fields = { ...fieldsOf(tried), outcome };
      if (level === 'debug') logger.debug(fields, 'event processed');
      else if (outcome === 'retried')
        logger.warn({ ...fields, reason: reasonOf(error) }, 'event not processed, tried again');
      else logger[level]({ ...fields, ...(error !== undefined && { err: error }) }, 'event not processed');
    },
    discarded: ({ consumer, category, id, position, commitId, traceId }) =>
      logger.warn(
        { consumer, category, id, position, commit_id: commitId, trace_id: traceId },
        'parked event discarded',
      ),
  };
}

const LEVELS: Readonly<Record<Outcome, 'debug' | 'warn' | 'error'>> = {
  handled: 'debug',
  known: 'debug',
  behind: 'warn',
  retried: 'warn',
  parked: 'error',
  stopped: 'error',
};

function fieldsOf({ consumer, commit, attempt, redriven }: DeliveryAttempt): object {
  const { stream, position, commitId } = commit;
  const traceId = traceIdOf(commit);
  const { category, id } = stream;
  return {
    consumer,
    category,
    id,
    position,
    commit_id: commitId,
    attempt,
    ...(redriven && { redriven }),
    ...(traceId && { trace_id: traceId }),
  };
}

/** Of the first decision; a commit that cannot be read has none. */
function traceIdOf(commit: DeliveryAttempt['commit']): string | undefined {
  try {
    return TRACE_ID.exec(commit.decisions[0]?.traceparent ?? '')?.[1];
  } catch {
    return undefined;
  }
}
