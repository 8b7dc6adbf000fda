import { numberOf } from '../../eventstore/index.ts';
import type { DeadLetter, DeadLetterCause } from '../../processes/engine/index.ts';
import type { OperatorRequest, Situation, ViewSituation } from './ports.ts';
import type { AdminRequestBody, CauseBody, SituationBody, ViewBody } from './schemas.ts';

/** A time of milliseconds since the Unix epoch in ISO 8601. */
export const isoTime = (ms: number): string => new Date(ms).toISOString();

/** A cause with its times in ISO 8601. */
export function causeBody({ example, firstAt, lastAt, ...cause }: DeadLetterCause): CauseBody {
  const at = { ...example, position: numberOf(example.position) };
  return { ...cause, firstAt: isoTime(firstAt), lastAt: isoTime(lastAt), example: at };
}

/** A request, with what became of what it marked where the dead letters are given. */
export function requestBody(
  { revision: _, at, endedAt, marked, differing, ...request }: OperatorRequest,
  deadLetters?: readonly DeadLetter[],
): AdminRequestBody {
  const outcome =
    marked === undefined || deadLetters === undefined
      ? undefined
      : outcomeOf(request.id, marked, deadLetters);
  return withoutAbsent({
    ...request,
    at: isoTime(at),
    endedAt: endedAt === undefined ? undefined : isoTime(endedAt),
    outcome,
    differing: differing && [...differing],
  });
}

/**
 * As long as a dead letter is marked, somebody is at it, or will be; one that was tried and is here again has failed.
 * What is gone is done.
 */
function outcomeOf(
  id: string,
  marked: number,
  deadLetters: readonly DeadLetter[],
): AdminRequestBody['outcome'] {
  const waiting = deadLetters.filter(({ request }) => request?.id === id).length;
  const failed = deadLetters.filter(({ request, lastRequest }) => !request && lastRequest === id).length;
  return { marked, done: Math.max(0, marked - waiting - failed), failed, waiting };
}

/** A view with its time in ISO 8601. */
export function viewBody({ checkpointAt, parked, ...view }: ViewSituation): ViewBody {
  const at = checkpointAt === undefined ? undefined : isoTime(checkpointAt);
  return withoutAbsent({ ...view, checkpointAt: at, parked: [...parked] });
}

/** The situation with its times in ISO 8601. */
export function situationBody({ log, storage, servers, instances }: Situation): SituationBody {
  const { copies, ...rest } = log;
  return {
    log: withoutAbsent({ ...rest, copies: { wanted: copies.wanted, missing: [...copies.missing] } }),
    ...(storage && { storage }),
    servers: servers.map((server) => withoutAbsent({ ...server })),
    instances: instances.map(({ startedAt, seenAt, roles, retrying, ...instance }) => ({
      ...instance,
      roles: [...roles],
      retrying: [...retrying],
      startedAt: isoTime(startedAt),
      seenAt: isoTime(seenAt),
    })),
  };
}

type Present<T> = { [Key in keyof T as undefined extends T[Key] ? never : Key]: T[Key] } & {
  [Key in keyof T as undefined extends T[Key] ? Key : never]?: Exclude<T[Key], undefined>;
};

/** The same without fields that are undefined. */
export function withoutAbsent<T extends object>(value: T): Present<T> {
  return Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined)) as Present<T>;
}
