import type { Message } from '@bufbuild/protobuf';
import {
  type CommandResult,
  EventStoreError,
  numberOf,
  positionOfVersion,
  type Rejection,
} from '../eventstore/index.ts';
import { RequestRefused } from './body.ts';
import { type Problem, problemObject, problemOfRefusal } from './problem-reply.ts';
import { problemOf } from './problems.ts';
import type { AnsweredItem } from './schemas/batch.ts';
import { problemOfError } from './server.ts';

/** How many items of a batch are executed at once. */
const AT_ONCE = 16;

/** What is asked of one product. */
interface Item {
  readonly sku: string;
}

/** How the items of a batch are executed. */
export interface Batch<One extends Item> {
  readonly items: readonly One[];
  readonly execute: (item: One) => Promise<CommandResult<unknown, Message, Rejection>>;
  /** The status of an item that was accepted. */
  readonly accepted: 200 | 201;
  /** False from when on no further item is begun. */
  readonly goesOn: () => boolean;
}

/**
 * Executes the items, some at once, each answered by itself. After a fault no further one is begun: what the log does
 * not take now would make every item wait in turn. An item that was not begun says so, and may be sent again.
 */
export async function executeBatch<One extends Item>(batch: Batch<One>): Promise<readonly AnsweredItem[]> {
  const { items, execute, accepted, goesOn } = batch;
  const answers = items.map(({ sku }) => refused(sku, { code: 'service/overloaded' }));
  let next = 0;
  let faulty = false;
  const work = async (): Promise<void> => {
    while (!faulty && goesOn()) {
      const index = next++;
      const item = items[index];
      if (item === undefined) return;
      try {
        answers[index] = answered(item.sku, await execute(item), accepted);
      } catch (error) {
        faulty = true;
        if (!(error instanceof EventStoreError)) throw error;
        answers[index] = refused(item.sku, problemOfError(error));
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return answers;
}

function answered(
  sku: string,
  result: CommandResult<unknown, Message, Rejection>,
  accepted: Batch<Item>['accepted'],
): AnsweredItem {
  if (result.outcome !== 'accepted' && result.outcome !== 'unchanged') {
    return refused(sku, problemOfRefusal(result, false));
  }
  const { outcome, version } = result;
  const status = outcome === 'accepted' ? accepted : 200;
  return { sku, status, version, position: numberOf(positionOfVersion(version)) };
}

function refused(sku: string, problem: Problem): AnsweredItem {
  return { sku, status: problemOf(problem.code).status, problem: problemObject(problem, {}) };
}

/**
 * Refuses a batch that names a product twice: its two items would be one, or overtake each other.
 * @param field where the items stand in the body
 * @throws RequestRefused
 */
export function refuseRepeated(field: string, items: readonly Item[]): void {
  const seen = new Set<string>();
  const errors = items.flatMap(({ sku }, index) => {
    if (!seen.has(sku)) {
      seen.add(sku);
      return [];
    }
    const pointer = `/${field}/${index}/sku`;
    return [{ in: 'body' as const, pointer, detail: 'stands more than once; send each SKU once' }];
  });
  if (errors.length === 0) return;
  throw new RequestRefused({ code: 'request/invalid', errors: errors.slice(0, MOST_ERRORS) });
}

/** As many as the check of a schema tells. */
const MOST_ERRORS = 8;
