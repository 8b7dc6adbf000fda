import type { Message } from '@bufbuild/protobuf';
import { LogUnavailable } from '../../src/eventstore/errors.ts';
import type { Log } from '../../src/eventstore/log.ts';
import { createNatsBuckets } from '../../src/eventstore/nats/nats-buckets.ts';
import { BEGINNING, numberOf, versionAt } from '../../src/eventstore/position.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import type { Reaction } from '../../src/processes/engine/reaction.ts';
import type { Buckets } from '../../src/processes/engine/rows.ts';
import { added, counter, counterRef, toyCommit } from '../../src/testing/contracts/toy.ts';
import type { LogHandle } from './nats-log.ts';

const CATEGORY = 'echo';

/** Appends a commit with one number to a counter and returns its position. */
export async function appendNumber(log: Log, id: string, value: number): Promise<number> {
  const { commits } = await log.read(counterRef(id), { after: 0, confirm: true });
  const commit = toyCommit(`${id}-${commits.length + 1}`, [added(value)]);
  const result = await log.append(counterRef(id), versionAt(commits.at(-1)?.position ?? BEGINNING), commit);
  if (!result.appended) throw new Error(`another was first on ${id}`);
  return result.version;
}

/** The positions that were echoed for a counter, in the order in which that happened. */
export async function echoesOf(log: Log, id: string): Promise<number[]> {
  const { commits } = await log.read({ category: CATEGORY, id }, { after: 0, confirm: true });
  return commits.map(({ commitId }) => Number(commitId.split('@')[1]));
}

/**
 * A consumer that appends an echo of each commit of a counter, fenced by the version that it has read.
 * `before` is called between reading and appending; `refused` when another was first.
 */
export function echoConsumer(
  log: Log,
  { before, refused }: { before?: (value: number) => Promise<void> | void; refused?: () => void } = {},
): Reaction {
  return {
    name: 'echo',
    sources: [counter],
    from: 'beginning',
    handle: async ({ stream, position, events }) => {
      const target = { category: CATEGORY, id: stream.id };
      const { commits } = await log.read(target, { after: 0, confirm: true });
      if (commits.some(({ commitId }) => commitId.endsWith(`@${numberOf(position)}`))) return;
      await before?.(numberIn(events[0]?.event));
      const commit = toyCommit(`${systemRuntime.id()}@${numberOf(position)}`, [added(1)]);
      const result = await log.append(target, versionAt(commits.at(-1)?.position ?? BEGINNING), commit);
      if (result.appended) return;
      refused?.();
      throw new LogUnavailable('another was first');
    },
  };
}

const numberIn = (event: Message | undefined): number =>
  event !== undefined && 'value' in event ? Number(event.value) : 0;

/** The buckets of a test server, on the connection of an opened log. */
export function bucketsOf({ requests }: Pick<LogHandle, 'requests'>): Buckets {
  return createNatsBuckets({
    requests,
    runtime: systemRuntime,
    replicas: 1,
    timeoutMs: 1_000,
    announceLosses: false,
  });
}
