import type { Msg, NatsConnection } from '@nats-io/transport-node';
import { BackupError } from './errors.ts';

const ANSWER_MS = 15_000;

/** What JetStream's API answers: what was asked for, or why not. */
export type ApiAnswer<T> = T & { readonly error?: { readonly code?: number; readonly description?: string } };

/** One request to JetStream's API. @throws BackupError when it refuses or does not answer in time */
export async function apiRequest<T>(
  connection: NatsConnection,
  subject: string,
  request: object,
  timeoutMs = ANSWER_MS,
): Promise<T> {
  return answerOf<T>(subject, await ask(connection, subject, JSON.stringify(request), timeoutMs));
}

/** One request whose answer may be empty. @throws BackupError when none comes in time */
export async function ask(
  connection: NatsConnection,
  subject: string,
  payload: Uint8Array | string,
  timeoutMs = ANSWER_MS,
): Promise<Msg> {
  try {
    return await connection.request(subject, payload, { timeout: timeoutMs });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new BackupError(`The server does not answer ${subject} (${reason}).`, cause);
  }
}

/** The JSON of an answer. @throws BackupError when it says no */
export function answerOf<T>(subject: string, msg: Msg): T {
  const answer = msg.json<ApiAnswer<T>>();
  if (answer.error === undefined) return answer;
  throw new BackupError(`The server refuses ${subject}: ${answer.error.description ?? 'no reason given'}.`);
}
