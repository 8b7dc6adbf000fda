import type { Message } from '@bufbuild/protobuf';
import type { CommandMeta, CommandResult } from '../command.ts';
import type { Rejection } from '../decider.ts';
import { EventStoreError } from '../errors.ts';
import type { Handler } from '../handler.ts';

/** What became of a command, for a counter or a line of the log. Ids are in it; nothing that a person typed is. */
export interface CommandDone {
  readonly category: string;
  readonly id: string;
  /** The command's type, such as `place`. */
  readonly command: string;
  readonly outcome: 'accepted' | 'unchanged' | 'rejected' | 'conflict' | 'key_reused' | 'fault';
  /** Of the rejection or the error; empty for the other outcomes. */
  readonly code: string;
  /** Of the aggregate, where it is known; also the position of what was stored. */
  readonly version: number | undefined;
  readonly commandId: string;
  /** The context that is stored with its decision. */
  readonly traceparent: string | undefined;
  readonly ms: number;
  /** Of a fault. */
  readonly error: unknown;
}

/** Tells the observers what came of each command; answers and faults pass through as they are. */
export function watchHandler(handler: Handler, observers: readonly ((done: CommandDone) => void)[]): Handler {
  if (observers.length === 0) return handler;
  const tell = (done: CommandDone): void => {
    for (const observe of observers) observe(done);
  };
  return {
    load: handler.load,
    find: handler.find,
    close: handler.close,
    execute: async (decider, id, command, meta, options) => {
      const started = performance.now();
      const about = { category: decider.category, id, command: nameOf(command), meta, started };
      try {
        const result = await handler.execute(decider, id, command, meta, options);
        const version = result.outcome === 'conflict' ? result.actual : result.version;
        tell(doneOf(about, wordOf(result.outcome), codeOf(result), version, undefined));
        return result;
      } catch (error) {
        tell(doneOf(about, 'fault', faultCodeOf(error), undefined, error));
        throw error;
      }
    },
    commitAll: async (parts, meta) => {
      const started = performance.now();
      // Several aggregates at once: told as one command of the first.
      const { category = '', id = '' } = parts[0]?.stream ?? {};
      const about = { category, id, command: 'commitAll', meta, started };
      try {
        const result = await handler.commitAll(parts, meta);
        const version = result.outcome === 'accepted' ? result.versions[0] : undefined;
        tell(doneOf(about, wordOf(result.outcome), codeOf(result), version, undefined));
        return result;
      } catch (error) {
        tell(doneOf(about, 'fault', faultCodeOf(error), undefined, error));
        throw error;
      }
    },
  };
}

interface About {
  readonly category: string;
  readonly id: string;
  readonly command: string;
  readonly meta: CommandMeta;
  readonly started: number;
}

/** Field by field: spreading objects costs a tenth of a command. */
function doneOf(
  { category, id, command, meta, started }: About,
  outcome: CommandDone['outcome'],
  code: string,
  version: number | undefined,
  error: unknown,
): CommandDone {
  const { commandId, traceparent } = meta;
  const ms = performance.now() - started;
  return { category, id, command, outcome, code, version, commandId, traceparent, ms, error };
}

function wordOf(outcome: CommandResult<unknown, Message, Rejection>['outcome']): CommandDone['outcome'] {
  return outcome === 'key-reused' ? 'key_reused' : outcome;
}

function codeOf(result: { readonly outcome: string; readonly rejection?: Rejection }): string {
  return result.rejection?.code ?? '';
}

function faultCodeOf(error: unknown): string {
  return error instanceof EventStoreError ? error.code : 'error';
}

/** Deciders name their commands by `type`; what is none of that has one name for all. */
function nameOf(command: unknown): string {
  const type =
    typeof command === 'object' && command !== null && 'type' in command ? command.type : undefined;
  return typeof type === 'string' ? type : 'command';
}
