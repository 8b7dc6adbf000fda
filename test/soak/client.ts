import { setTimeout as delay } from 'node:timers/promises';
import { at } from '../../src/cli/demo.ts';
import type { Fleet } from './fleet.ts';

/** What a definite answer says. */
export interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** How requests went, over all callers. */
export interface Traffic {
  requests: number;
  /** Sent again because no answer, or none that says what happened, came. */
  repeated: number;
  /** Requests whose first answer left open what happened, and a repetition told. */
  resolved: number;
}

export interface Client {
  readonly traffic: Traffic;
  /**
   * Sends a request until an instance says what became of it; a repetition goes to any instance, under the same key.
   * @throws Error when nobody says so in time
   */
  send(method: string, path: string, body: unknown, key: string): Promise<Answer>;
}

const ANSWER_WITHIN_MS = 5_000;
const GIVE_UP_AFTER_MS = 120_000;
const PAUSE_MS = 100;
/** Too late, too many: `send it again`, they say, and an earlier try may have been taken. */
const UNCLEAR: ReadonlySet<number> = new Set([408, 429]);

/** A client that repeats as a careful caller of the API does. @param random for the choice of instances */
export function createClient(fleet: Fleet, random: () => number): Client {
  const traffic: Traffic = { requests: 0, repeated: 0, resolved: 0 };
  return {
    traffic,
    send: async (method, path, body, key) => {
      traffic.requests++;
      const giveUpAt = Date.now() + GIVE_UP_AFTER_MS;
      for (let tries = 0; ; tries++) {
        const answer = await attempt(() => fleet.pick(random), method, path, body, key);
        if ('status' in answer) {
          if (tries > 0) traffic.resolved++;
          return answer;
        }
        if (Date.now() > giveUpAt) throw new Error(`${method} ${path} with key ${key}: ${answer.unclear}`);
        traffic.repeated++;
        await delay(PAUSE_MS * (1 + random()));
      }
    },
  };
}

/** Creates something that must be created, and answers its body's field `id`. */
export async function create(client: Client, path: string, body: unknown, key: string): Promise<string> {
  const { status, body: made } = await client.send('POST', path, body, key);
  if (status >= 300) throw new Error(`POST ${path}: ${status} ${JSON.stringify(made)}`);
  return String(at(made, 'id'));
}

async function attempt(
  url: () => string,
  method: string,
  path: string,
  body: unknown,
  key: string,
): Promise<Answer | { readonly unclear: string }> {
  try {
    const response = await fetch(`${url()}${path}`, {
      method,
      headers: { 'content-type': 'application/json', 'idempotency-key': key },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    });
    const answer: unknown = await response.json();
    const { status } = response;
    return status >= 500 || UNCLEAR.has(status)
      ? { unclear: JSON.stringify(answer) }
      : { status, body: answer };
  } catch (error) {
    return { unclear: String(error) };
  }
}
