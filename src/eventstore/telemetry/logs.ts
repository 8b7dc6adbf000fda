import { EventStoreError, reasonOf } from '../errors.ts';
import type { CommandDone, StoreObserver } from '../observer.ts';
import { parseTrace } from '../trace-context.ts';

/** What is needed of a logger; pino fits. */
export interface CommandLogger {
  isLevelEnabled(level: string): boolean;
  debug(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/**
 * A line for each command: at debug what became of it, at warn what others or the infrastructure prevented, at error
 * what only a defect explains. Holds ids and codes, never what a command carries.
 */
export function logStore(logger: CommandLogger): Pick<Required<StoreObserver>, 'done'> {
  return {
    done: (done) => {
      const level = levelOf(done.outcome, done.error);
      if (!logger.isLevelEnabled(level)) return;
      const { error, ms, traceparent, ...fields } = done;
      const line = { ...fields, ms: Math.round(ms * 10) / 10, ...traceOf(traceparent) };
      if (level === 'error') logger.error({ ...line, err: error }, 'command failed');
      else if (error !== undefined) logger.warn({ ...line, reason: reasonOf(error) }, 'command not served');
      else logger[level](line, 'command');
    },
  };
}

function traceOf(traceparent: string | undefined): object {
  const trace = parseTrace({ traceparent });
  return trace === undefined ? {} : { trace_id: trace.traceId, span_id: trace.spanId };
}

function levelOf(outcome: CommandDone['outcome'], error: unknown): 'debug' | 'warn' | 'error' {
  if (outcome === 'conflict') return 'warn';
  if (outcome !== 'fault') return 'debug';
  return error instanceof EventStoreError ? 'warn' : 'error';
}
