import { mayHeal, type Runtime } from '../../eventstore/index.ts';
import type { Deliverable, DeliveryOutlet, DeliveryRequest, Receiver } from './port.ts';
import type { Tail } from './tail.ts';

/** How far a redelivery is. */
export interface RequestProgress {
  readonly requestId: string;
  /** By source: what is sent already, and the last to be sent. */
  readonly places: Readonly<Record<string, { readonly at: number; readonly to: number }>>;
  readonly delivered: number;
  readonly failed: number;
}

interface RequestDeps {
  readonly tails: readonly Tail[];
  readonly outlet: DeliveryOutlet;
  readonly runtime: Runtime;
  readonly stored: RequestProgress | undefined;
  readonly receiver: () => Receiver;
  readonly isOn: () => boolean;
  /** There is something to store. */
  readonly changed: () => void;
}

/** Tries of a redelivery at once, where no order is kept. */
const AT_ONCE = 8;
const AGAIN_MS = 1_000;

/** Does what was requested for a receiver, one after the other, beside what happens now; each event is tried once. */
export function runRequests(deps: RequestDeps): {
  /** There may be something to do. */
  look(): void;
  progress(): RequestProgress | undefined;
  ended(): Promise<void>;
} {
  const { outlet, runtime, receiver, isOn } = deps;
  const through = new Set<string>();
  let progress = deps.stored;
  let running: Promise<void> | undefined;

  const set = (next: RequestProgress | undefined): void => {
    progress = next;
    deps.changed();
  };
  const run = async (): Promise<void> => {
    for (;;) {
      const request = receiver().requests.find(({ requestId }) => !through.has(requestId));
      if (request === undefined || !isOn()) return;
      try {
        const of = progress?.requestId === request.requestId ? progress : undefined;
        const done = await executeOne(deps, request, of, set);
        if (done === undefined) return;
        const { delivered, failed } = done;
        await outlet.complete?.(receiver().id, request.requestId, { delivered, failed });
        through.add(request.requestId);
        set(undefined);
      } catch (error) {
        if (!mayHeal(error)) outlet.trouble(`what was requested of ${receiver().id}`, error);
        await runtime.sleep(AGAIN_MS);
      }
    }
  };
  return {
    look: () => {
      running ??= run().finally(() => {
        running = undefined;
      });
    },
    progress: () => progress,
    ended: async () => running,
  };
}

type Counts = Pick<RequestProgress, 'delivered' | 'failed'>;

/** Undefined when it was interrupted. */
async function executeOne(
  deps: RequestDeps,
  request: DeliveryRequest,
  stored: RequestProgress | undefined,
  set: (progress: RequestProgress) => void,
): Promise<Counts | undefined> {
  const { outlet, receiver, runtime } = deps;
  if (request.kind === 'period') return period(deps, request, stored, set);
  const event =
    request.kind === 'test'
      ? outlet.testEvent?.(request.requestId, request.at)
      : await eventOf(deps, request);
  const startedAt = runtime.now();
  const { taken, error = '' } = (event && (await receiver().deliver(event, 1))) ?? { taken: false };
  // What was a dead letter is one again.
  if (event !== undefined && !taken && request.kind === 'event' && request.place !== undefined)
    await outlet.giveUp({ receiver: receiver().id, event, attempts: 1, firstAt: startedAt, error });
  return { delivered: Number(taken), failed: Number(!taken) };
}

async function eventOf(
  { outlet, receiver, tails }: RequestDeps,
  { eventId, place: given }: Extract<DeliveryRequest, { kind: 'event' }>,
): Promise<Deliverable | undefined> {
  const place = given ?? (await outlet.find?.(receiver().id, eventId));
  const source = tails.find((tail) => tail.source.name === place?.source)?.source;
  const event = place && (await source?.at(place.position));
  return event?.id === eventId ? event : undefined;
}

async function period(
  { tails, receiver, isOn }: RequestDeps,
  request: Extract<DeliveryRequest, { kind: 'period' }>,
  stored: RequestProgress | undefined,
  set: (progress: RequestProgress) => void,
): Promise<Counts | undefined> {
  const { requestId, since, until } = request;
  let progress = stored ?? { requestId, places: {}, delivered: 0, failed: 0 };
  for (const { source } of tails) {
    const { name } = source;
    const place = progress.places[name] ?? { at: await source.before(since), to: await source.head() };
    for (let { at } = place; at < place.to; ) {
      const page = await source.page(at);
      const wanted = page.events.filter(
        (event) =>
          event.position <= place.to &&
          event.time >= since &&
          (until === undefined || event.time < until) &&
          receiver().wants(event),
      );
      while (wanted.length > 0) {
        if (!isOn()) return undefined;
        const some = wanted.splice(0, receiver().ordered ? 1 : AT_ONCE);
        const tried = await Promise.all(some.map((event) => receiver().deliver(event, 1)));
        const delivered = tried.filter(({ taken }) => taken).length;
        progress = {
          ...progress,
          places: { ...progress.places, [name]: { at: some.at(-1)?.position ?? at, to: place.to } },
          delivered: progress.delivered + delivered,
          failed: progress.failed + some.length - delivered,
        };
        set(progress);
      }
      at = page.through > at ? page.through : place.to;
      progress = { ...progress, places: { ...progress.places, [name]: { at, to: place.to } } };
    }
  }
  return progress;
}
