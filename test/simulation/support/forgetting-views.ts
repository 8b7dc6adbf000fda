import { user } from '../../../src/domain/user.ts';
import { EventStoreError } from '../../../src/eventstore/errors.ts';
import type { Log } from '../../../src/eventstore/log.ts';
import type { PersonalData } from '../../../src/eventstore/personal/personal-data.ts';
import { positionOf } from '../../../src/eventstore/position.ts';
import type { Runtime } from '../../../src/eventstore/runtime.ts';
import type { Buckets } from '../../../src/projections/engine/aliases.ts';
import { parseRow, rebuild } from '../../../src/projections/engine/index.ts';
import { startProjections } from '../../../src/projections/engine/start.ts';
import { createViewReader } from '../../../src/projections/engine/view-reader.ts';
import { orders } from '../../../src/projections/views/orders.ts';
import { type UserRow, users } from '../../../src/projections/views/users.ts';
import type { MemoryBucketStores } from '../../../src/testing/memory-bucket.ts';
import { createMemoryIndexes } from '../../../src/testing/memory-indexes.ts';
import type { MemoryStore } from '../../../src/testing/memory-log.ts';
import type { World } from '../../../src/testing/world.ts';
import { BUSY_MS, OLD_TEXT } from './forgetting-people.ts';
import { foldOf } from './shop-invariants.ts';

interface ViewProcess {
  readonly log: Log;
  readonly buckets: Buckets;
  readonly runtime: Runtime;
  readonly personal: PersonalData;
}

const VIEWS = [users, orders];
const SETTINGS = { groups: 1 as const, checkpointMs: 200, resolveMs: 200, graceMs: 0, restMs: 0 };
const MOST_TRIES = 50;
/** How long one process keeps the views, at the most: while much happens, and after that. */
const LIFE_MS = 15_000;
const LATE_LIFE_MS = 120_000;

/** The views that hold texts of persons, in a world in which one of these is forgotten. */
export function createForgettingViews(
  world: World,
  { log, stores }: { readonly log: MemoryStore; readonly stores: MemoryBucketStores },
  processOf: (actor: string) => ViewProcess,
) {
  const clock = world.runtime('views');
  let rebuilds = 0;
  let isOver = false;

  /** @returns what is different after it */
  async function rebuildAll(): Promise<string[]> {
    const found: string[] = [];
    for (const projection of VIEWS) {
      const onDifference = ({ key, kind }: { readonly key: string; readonly kind: string }) =>
        void found.push(`the row ${key} of ${projection.name} is ${kind} in a rebuild`);
      let tries = 0;
      for (let isDone = false; !isDone && tries < MOST_TRIES; tries++) {
        const actor = `rebuild.${++rebuilds}`;
        const fate = await world.spawn(actor, () =>
          rebuild({ ...processOf(actor), projection, settings: SETTINGS, onDifference }).catch(
            (error: unknown) => {
              if (!(error instanceof EventStoreError && error.retryable)) throw error;
            },
          ),
        );
        isDone = !fate.crashed && fate.value !== undefined;
        if (!isDone) await clock.sleep(500);
      }
      if (tries === MOST_TRIES) found.push(`a rebuild of ${projection.name} does not end`);
    }
    return found;
  }

  /** Every value that any bucket had of the person, also one that was replaced since: its bytes may be there. */
  async function readable({ personal }: ViewProcess): Promise<string[]> {
    const found: string[] = [];
    for (const [name, { store }] of stores.stores) {
      for (const { value, key } of store.writes) {
        if (!/"(id|userId)":"ada"/.test(Buffer.from(value).toString())) continue;
        const [text] = OLD_TEXT.exec(Buffer.from(await personal.openJson(value)).toString()) ?? [];
        if (text !== undefined) found.push(`the row ${key} of ${name} can be opened to ${text}`);
      }
    }
    return found;
  }

  /** What the live view says of the person. */
  async function shown(process: ViewProcess): Promise<string[]> {
    const indexStore = createMemoryIndexes();
    const reader = createViewReader({ ...process, views: VIEWS, indexStore, settings: SETTINGS });
    const row = await reader.row(users, 'ada', { minPosition: positionOf(log.head()) });
    await reader.stop();
    if (row === undefined) return ['ada is forgotten and has no row'];
    const { name, email, status } = parseRow(row.json) as UserRow;
    const isRight = [name, email, status].every((text) => text === 'forgotten');
    return isRight ? [] : [`the row of ada says ${status} of who is forgotten`];
  }

  return {
    /** One process after the other keeps the views; the former goes on for a while beside its successor. */
    keep: async (): Promise<void> => {
      const start = world.now();
      let former: string | undefined;
      for (let n = 0; !isOver; n++) {
        const actor = `view.${n}`;
        void world.spawn(actor, async () => {
          startProjections({ ...processOf(actor), projections: VIEWS, settings: SETTINGS });
          return new Promise<never>(() => undefined);
        });
        await clock.sleep(world.random() * 2_000);
        if (former !== undefined) world.crash(former);
        former = actor;
        await clock.sleep(world.random() * (world.now() - start < BUSY_MS ? LIFE_MS : LATE_LIFE_MS));
      }
    },
    rebuildAll,
    /** What must not be once nothing goes wrong any more, as sentences; ends `keep`. */
    violations: async (): Promise<string[]> => {
      const process = processOf('views.reader');
      const isForgotten = foldOf(log, user, 'ada').status === 'forgotten';
      const found = isForgotten ? await readable(process) : [];
      found.push(...(await rebuildAll()));
      if (isForgotten) found.push(...(await shown(process)), ...(await readable(process)));
      isOver = true;
      return [...new Set(found)];
    },
  };
}
