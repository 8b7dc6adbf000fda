import { createUseCases } from '../../../src/app/create-use-cases.ts';
import { createEmailKey } from '../../../src/app/email-key.ts';
import type { UseCaseSettings, UseCases } from '../../../src/app/use-cases.ts';
import type { CommandHandler, CommandMeta } from '../../../src/eventstore/command.ts';
import { LogUnavailable } from '../../../src/eventstore/errors.ts';
import { createHandler } from '../../../src/eventstore/handler.ts';
import type { Log } from '../../../src/eventstore/log.ts';
import { type PersonalData, WITHOUT_KEYS } from '../../../src/eventstore/personal/personal-data.ts';
import type { Runtime } from '../../../src/eventstore/runtime.ts';
import { createMemoryStore, openMemoryLog } from '../../../src/testing/memory-log.ts';

export const STALE_CLAIM_MS = 10_000;
export const PRICE_MAX_AGE_MS = 5_000;
export const PAYMENT_DEADLINE_MS = 600_000;

/** Turns the shop's addresses into ids. */
export const emailKey = createEmailKey(new TextEncoder().encode('a key that only the unit tests use'));

/** A process of the service over the shared log. */
export interface Process {
  readonly handler: CommandHandler;
  readonly useCases: UseCases;
}

/** A service on a log in memory, with a clock that only the test moves. */
export interface Shop extends Process {
  readonly log: Log;
  /** Another process: its own caches over the same log. @param own what it seals and opens with */
  anotherProcess(own?: PersonalData): Process;
  /** A process that loses the log at its first command of this type. */
  failingAt(type: string): Process;
  advance(ms: number): void;
  now(): number;
  /** The log's events in order, as `category Type`. */
  events(): string[];
}

/** An empty shop, in 2030. @param more how it differs; by default only that orders may leave out how they are paid */
export function createShop(
  more: Partial<UseCaseSettings> = { defaultPaymentToken: 'tok_default' },
  personal: PersonalData = WITHOUT_KEYS,
): Shop {
  const store = createMemoryStore();
  const settings = {
    staleClaimMs: STALE_CLAIM_MS,
    priceMaxAgeMs: PRICE_MAX_AGE_MS,
    paymentDeadlineMs: PAYMENT_DEADLINE_MS,
    ...more,
  };
  let now = Date.UTC(2030, 0, 1);
  let ids = 0;
  const runtime: Runtime = {
    now: () => now,
    random: () => 0.5,
    id: () => `id-${++ids}`,
    sleep: async () => {},
  };

  const log = openMemoryLog(store);
  const processOf = (handler: CommandHandler, own = personal): Process => ({
    handler,
    useCases: createUseCases({ handler, log, runtime, emailKey, personal: own, settings }),
  });
  const newHandler = (own = personal) => createHandler({ log: openMemoryLog(store), runtime, personal: own });

  return {
    ...processOf(newHandler()),
    log,
    anotherProcess: (own) => processOf(newHandler(own), own),
    failingAt: (type) => {
      const handler = newHandler();
      return processOf({
        ...handler,
        execute: async (decider, id, command, meta, options) => {
          if (Object(command).type === type) throw new LogUnavailable(type);
          return handler.execute(decider, id, command, meta, options);
        },
      });
    },
    advance: (ms) => {
      now += ms;
    },
    now: () => now,
    events: () => {
      const events: string[] = [];
      for (let position = 1; position <= store.head(); position++) {
        const commit = store.at(position);
        for (const { events: stored } of commit?.decisions ?? []) {
          events.push(...stored.map((event) => `${commit?.stream.category} ${event.type}`));
        }
      }
      return events;
    },
  };
}

/** What comes with a request that has the idempotency key `key` and a body with the digest `body`. */
export function keyed(key: string, body = 1): CommandMeta {
  return { commandId: key, fingerprint: Uint8Array.of(body), actor: 'tester' };
}
