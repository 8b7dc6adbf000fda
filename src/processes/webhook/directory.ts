import { isLive, isSent, type LiveWebhook, type WebhookState, webhook } from '../../domain/webhook.ts';
import { backoffMs, type Log, type Runtime, subscribe } from '../../eventstore/index.ts';
import type { Deliverable, Receiver, Tried } from '../delivery/port.ts';
import type { Receivers } from '../delivery/worker.ts';

/** Under which name operators see the delivery of webhooks, and what it gave up. */
export const WEBHOOKS = 'webhooks';

/** Sends one event to a webhook, as it is now. Never rejects. */
export type SendTo = (id: string, state: LiveWebhook, event: Deliverable, attempt: number) => Promise<Tried>;

interface DirectoryDeps {
  readonly log: Log;
  readonly runtime: Runtime;
  readonly sendTo: SendTo;
  readonly trouble: (what: string, error: unknown) => void;
}

/** The webhooks as the log says, from its beginning on and as it goes on; `stop` ends that. */
export function followWebhooks({
  log,
  runtime,
  sendTo,
  trouble,
}: DirectoryDeps): Receivers & { stop(): void } {
  const states = new Map<string, WebhookState>();
  const receivers = new Map<string, Receiver>();
  const watchers = new Set<(id: string) => void>();
  const stopping = new AbortController();
  let ready = false;

  const show = (id: string): void => {
    const state = states.get(id);
    if (state !== undefined && isLive(state)) receivers.set(id, receiverOf(id, state, sendTo));
    else receivers.delete(id);
    for (const changed of watchers) changed(id);
  };
  /** What was changed since must not be sent as it was before. */
  const caughtUp = (): void => {
    if (ready) return;
    ready = true;
    for (const id of states.keys()) show(id);
  };
  const read = async (): Promise<void> => {
    states.clear();
    const { signal } = stopping;
    const from = { sources: [webhook], from: 'beginning', signal, caughtUp, runtime } as const;
    for await (const { stream, event } of subscribe<Parameters<typeof webhook.evolve>[1]>(log, from)) {
      states.set(stream.id, webhook.evolve(states.get(stream.id) ?? webhook.initial, event));
      if (ready) show(stream.id);
    }
  };
  const run = async (): Promise<void> => {
    for (let attempt = 0; !stopping.signal.aborted; attempt++) {
      await read().catch((error: unknown) => trouble('following the webhooks', error));
      if (!stopping.signal.aborted) await runtime.sleep(backoffMs(runtime, attempt, 100, 5_000));
    }
  };
  void run();
  return {
    all: () => receivers.values(),
    get: (id) => receivers.get(id),
    watch: (changed, signal) => {
      watchers.add(changed);
      signal.addEventListener('abort', () => watchers.delete(changed), { once: true });
    },
    stop: () => stopping.abort(),
  };
}

function receiverOf(id: string, state: LiveWebhook, sendTo: SendTo): Receiver {
  const { status, ordered, createdAt, renewedAt, requests } = state;
  return {
    ...{ id, enabled: status === 'enabled', ordered, createdAt, renewedAt, requests },
    wants: ({ type, subject }) => isSent(state, type, subject),
    deliver: (event, attempt) => sendTo(id, state, event, attempt),
  };
}
