import { randomUUID } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import { type Int32Value, Int32ValueSchema } from '@bufbuild/protobuf/wkt';
import { codecOf } from '../../src/eventstore/codec/event-codec.ts';
import type { Decider, Rejection } from '../../src/eventstore/decider.ts';
import type { StreamRef } from '../../src/eventstore/stream.ts';
import { type Commit, CommitSchema } from '../../src/gen/jetledger/eventstore/v1/commit_pb.ts';

/** Adds 1 in as many events as asked. */
export interface TallyCommand {
  readonly events: number;
}

/** The smallest aggregate there is: what is measured is the kernel and not a domain. */
export const tally: Decider<number, TallyCommand, Int32Value, Rejection> = {
  category: 'tally',
  events: [Int32ValueSchema],
  initial: 0,
  evolve: (sum, event) => sum + event.value,
  decide: ({ events }) => Array.from({ length: events }, () => create(Int32ValueSchema, { value: 1 })),
};

export const tallyRef = (id: string): StreamRef => ({ category: tally.category, id });

const TEMPLATE = create(CommitSchema, {
  decisions: [
    {
      commandId: randomUUID(),
      correlationId: randomUUID(),
      actor: 'bench',
      time: 1_900_000_000_000n,
      events: [codecOf<Int32Value>(tally).encode(create(Int32ValueSchema, { value: 1 }))],
    },
  ],
});

/** A commit as the handler makes it: one decision with one event, ids of the usual length. */
export function tallyCommit(commitId: string): Commit {
  return { ...TEMPLATE, commitId };
}
