import { backoffMs, mayHeal, placeNow, type Runtime, reasonOf } from '../../eventstore/index.ts';
import { OwnershipLost } from '../engine/index.ts';
import { createFlow, type HeldAggregate, type OpenEvent, type StoredFlow } from './flow.ts';
import { giveUpLate } from './late.ts';
import type { Deliverable, DeliveryOutlet, DeliverySettings, Receiver, Tried } from './port.ts';
import { type RequestProgress, runRequests } from './requests.ts';
import type { Tail } from './tail.ts';

/** A receiver's place as it is stored. */
export interface StoredReceiver extends StoredFlow {
  /** Unique for each write, so that one that was not answered is recognised. */
  readonly owner: string;
  readonly request?: RequestProgress | undefined;
}

export interface ReceiverDeps {
  readonly tails: readonly Tail[];
  readonly runtime: Runtime;
  readonly settings: DeliverySettings;
  readonly outlet: DeliveryOutlet;
  /** Whether this process may still deliver. */
  readonly alive: () => boolean;
  /** Stores the receiver's place. @throws OwnershipLost when another instance has it, LogUnavailable */
  readonly store: (value: Omit<StoredReceiver, 'owner'>) => Promise<void>;
  /** What was stored when the place was claimed. */
  readonly stored: StoredReceiver | undefined;
  /** Another one has written the place; nothing is begun or stored any more. */
  readonly lost: () => void;
}

/** A receiver while this process delivers to it. */
export interface RunningReceiver {
  /** It has changed. */
  update(receiver: Receiver): void;
  hold(held: boolean): void;
  /** Begins nothing more, waits for what is under way and stores the place. */
  stop(): Promise<void>;
  status(): { readonly open: number; readonly running: number; readonly retrying: number };
}

/** The longest single timer, so that a receiver that is stopped leaves none behind for long. */
const LONGEST_SLEEP_MS = 2_000;
/** Between a place at the end of a source and its tail, which is only a little ahead. */
const LOOK_AGAIN_MS = 50;
/** How old a place may be that was only passed over: what it costs to read on from there. */
const PASSED_MS = 10_000;
/** After a place could not be read. */
const TROUBLE_CAP_MS = 2_000;

/** Delivers to one receiver, from its stored place on (protocol 34). */
export function runReceiver(deps: ReceiverDeps, first: Receiver): RunningReceiver {
  const { runtime, settings, outlet, tails } = deps;
  let receiver = first;
  const flow = createFlow(runtime, settings, () => receiver.ordered, deps.stored);
  const stopping = new AbortController();
  const joined = new Set<string>();
  const under = new Set<Promise<void>>();
  let held = false;
  let isLost = false;
  /** Why what has waited for `giveUpMs` is to be given up. */
  let late: string | undefined;
  let changed = false;
  let passed = false;
  let storedAt = runtime.now();
  let wake = (): void => undefined;
  /** Something has come since the last look, also while nobody slept. */
  let raised = false;
  let alarmAt = Number.POSITIVE_INFINITY;
  const raise = (): void => {
    raised = true;
    wake();
  };
  const mayWork = (): boolean => !held && !isLost && !stopping.signal.aborted && deps.alive();
  const isOn = (): boolean => receiver.enabled && mayWork();

  const requests = runRequests({
    tails,
    outlet,
    runtime,
    stored: deps.stored?.request,
    receiver: () => receiver,
    isOn: mayWork,
    changed: () => {
      changed = true;
    },
  });

  const member = {
    push: (event: Deliverable): boolean => {
      if (!flow.hasRoom(runtime.now()) || !isOn()) {
        joined.delete(event.source);
        return false;
      }
      admit(event);
      raise();
      return true;
    },
    through: (source: string, position: number): void => pass(source, position),
  };
  const pass = (source: string, through: number): void => {
    if (through <= (flow.high(source) ?? 0)) return;
    flow.pass(source, through);
    passed = true;
  };
  const admit = (event: Deliverable): void => {
    const { source } = event;
    if (event.position <= (flow.high(source) ?? 0)) return;
    if (!receiver.wants(event)) {
      pass(source, event.position);
      return;
    }
    flow.take(source, event, event);
    changed = true;
  };

  /** Reads on where this receiver is behind; true when something came. */
  const readOn = async ({ source, join }: Tail): Promise<boolean> => {
    const high = flow.high(source.name) ?? (await begin(source));
    if (join(member, high)) {
      joined.add(source.name);
      return false;
    }
    const { events, through } = await source.page(high);
    for (const event of events) admit(event);
    pass(source.name, through);
    return through > high;
  };
  const sourceOf = (of: { readonly source: string }) =>
    tails.find((tail) => tail.source.name === of.source)?.source;
  /** What was passed over while its aggregate was held; of a stream that is published no more nothing is left. */
  const readAgain = async (held: HeldAggregate): Promise<void> => {
    const nothing = { events: [], through: Number.POSITIVE_INFINITY };
    const { events, through } = (await sourceOf(held)?.page(held.after, held.subject)) ?? nothing;
    const wanted = events.filter((event) => receiver.wants(event));
    flow.takeAgain(held, wanted, through);
    changed = true;
  };
  const begin = async (source: Tail['source']): Promise<number> => {
    const { incarnation } = await source.lineage();
    const from = await (source.beginning?.() ?? source.before(receiver.createdAt));
    flow.place(source.name, incarnation, from);
    changed = true;
    return from;
  };
  const checkPlaces = async (): Promise<void> => {
    for (const { source } of tails) {
      const known = flow.incarnation(source.name);
      const lineage = await source.lineage();
      const { incarnation } = lineage;
      if (known === undefined || known === incarnation) continue;
      const kept = placeNow(lineage, known, flow.high(source.name) ?? 0);
      if (kept === undefined) {
        outlet.trouble(
          `delivering to ${receiver.id}`,
          new Error(`${source.name} was made anew; its positions mean other events`),
        );
        flow.place(source.name, incarnation, await (source.beginning?.() ?? source.head()));
      } else flow.place(source.name, incarnation, kept, kept);
      changed = true;
    }
  };
  let checked = -1;
  /** At the start, and when a stream was made anew. */
  const look = async (): Promise<void> => {
    const renewals = tails.reduce((sum, tail) => sum + tail.renewals, 0);
    if (renewals === checked) return;
    for (const tail of tails) tail.leave(member);
    joined.clear();
    await checkPlaces();
    checked = renewals;
  };

  const tryOne = async (event: OpenEvent): Promise<void> => {
    try {
      const found = event.fresh ?? (await sourceOf(event)?.at(event.position));
      event.fresh = undefined;
      // What has expired cannot be sent, and what was changed meanwhile may not be wanted.
      if (found === undefined || !receiver.wants(found)) return flow.drop(event);
      const startedAt = runtime.now();
      // Reading it took a while.
      if (!mayWork()) return flow.putBack(event, startedAt);
      const tried = await receiver.deliver(found, event.attempts + 1);
      if (tried.unwanted === true) return flow.drop(event);
      if (tried.taken) return flow.taken(event, runtime.now());
      await follow(event, found, tried, startedAt);
    } catch (error) {
      flow.putBack(event, runtime.now() + TROUBLE_CAP_MS);
      outlet.trouble(`delivering to ${receiver.id}`, error);
    }
  };
  const follow = async (event: OpenEvent, found: Deliverable, tried: Tried, startedAt: number) => {
    const verdict = flow.failed(event, tried, startedAt, runtime.now());
    const { attempts, firstAt } = event;
    const { error = '' } = tried;
    if (verdict === 'retry') return;
    if (verdict !== 'give-up' && outlet.disable !== undefined)
      return outlet.disable(receiver.id, verdict, error);
    await outlet.giveUp({ receiver: receiver.id, event: found, attempts, firstAt, error });
    flow.drop(event);
    if (verdict === 'failing') late = error;
  };
  const start = (event: OpenEvent): void => {
    const done = tryOne(event).finally(() => {
      under.delete(done);
      changed = true;
      // At once: reading on may take a while.
      startDue();
      raise();
    });
    under.add(done);
  };
  const startDue = (): void => {
    if (!isOn() || late !== undefined) return;
    for (let event = flow.next(runtime.now()); event !== undefined; event = flow.next(runtime.now()))
      start(event);
  };

  const work = async (): Promise<boolean> => {
    if (!isOn()) return false;
    if (late !== undefined) {
      await giveUpLate({ ...deps, receiver, flow, isOn }, late);
      late = undefined;
      changed = true;
    }
    startDue();
    const held = flow.freed(runtime.now());
    if (held !== undefined) await readAgain(held);
    let more = held !== undefined;
    for (const tail of tails)
      if (!joined.has(tail.source.name) && flow.hasRoom(runtime.now())) more = (await readOn(tail)) || more;
    return more;
  };
  /** One timer serves many sleeps: it may wake too early, which costs a look. */
  const setAlarm = (at: number): void => {
    if (alarmAt <= at) return;
    alarmAt = at;
    void runtime.sleep(at - runtime.now()).then(() => {
      if (alarmAt === at) alarmAt = Number.POSITIVE_INFINITY;
      raise();
    });
  };
  const sleep = async (ms: number): Promise<void> => {
    setAlarm(runtime.now() + ms);
    const woken = new Promise<void>((resolve) => {
      wake = resolve;
    });
    if (!raised) await woken;
    raised = false;
  };
  /** How long nothing is to be done unless something comes. */
  const idleMs = (): number => {
    if (!isOn()) return LONGEST_SLEEP_MS;
    const now = runtime.now();
    if (joined.size < tails.length && flow.hasRoom(now)) return LOOK_AGAIN_MS;
    return Math.min(Math.max((flow.wakeAt() ?? Number.POSITIVE_INFINITY) - now, 5), LONGEST_SLEEP_MS);
  };
  const run = async (): Promise<void> => {
    let failures = 0;
    while (!stopping.signal.aborted) {
      try {
        await look();
        if (await work()) continue;
        failures = 0;
        await sleep(idleMs());
      } catch (error) {
        if (!mayHeal(error)) outlet.trouble(`reading for ${receiver.id}: ${reasonOf(error)}`, error);
        await sleep(backoffMs(runtime, failures++, 50, TROUBLE_CAP_MS));
      }
    }
  };
  const storeNow = async (): Promise<void> => {
    if (!changed && !passed) return;
    [changed, passed, storedAt] = [false, false, runtime.now()];
    await deps.store({ ...flow.stored(), request: requests.progress() });
  };
  const keep = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      await Promise.race([runtime.sleep(settings.storeMs), stopped]);
      if (stopping.signal.aborted) return;
      if (!changed && runtime.now() - storedAt < PASSED_MS) continue;
      await storeNow().catch((error: unknown) => {
        changed = true;
        isLost = error instanceof OwnershipLost;
        if (!isLost && !mayHeal(error)) outlet.trouble(`storing the place of ${receiver.id}`, error);
      });
      if (isLost) return deps.lost();
    }
  };
  const stopped = new Promise<void>((resolve) => {
    stopping.signal.addEventListener('abort', () => resolve(), { once: true });
  });
  const running = Promise.all([run(), keep()]);
  requests.look();

  return {
    update: (next) => {
      if (next.renewedAt > receiver.renewedAt) flow.renew(runtime.now());
      receiver = next;
      changed = true;
      requests.look();
      raise();
    },
    hold: (on) => {
      held = on;
      requests.look();
      raise();
    },
    stop: async () => {
      stopping.abort();
      for (const tail of tails) tail.leave(member);
      raise();
      await running;
      const through = Promise.all([...under, requests.ended()]);
      await Promise.race([through, runtime.sleep(settings.stopMs)]);
      if (deps.alive() && !isLost)
        await storeNow().catch((error: unknown) => outlet.trouble('storing a place', error));
    },
    status: () => ({ open: flow.size, running: flow.running, retrying: flow.retrying }),
  };
}
