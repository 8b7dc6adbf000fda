import type { Int32Value } from '@bufbuild/protobuf/wkt';
import { type JetStreamClient, jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { codecOf } from '../../src/eventstore/codec/event-codec.ts';
import { decoderOf } from '../../src/eventstore/codec/event-decoder.ts';
import { encodeCommit } from '../../src/eventstore/codec/stored-commit.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { subjectOf } from '../../src/eventstore/stream.ts';
import { CommitSchema } from '../../src/gen/jetledger/eventstore/v1/commit_pb.ts';
import { TEST_LOG } from '../support/nats-log.ts';
import { tally, tallyCommit, tallyRef } from './tally.ts';

/** The most messages that a server gives for one request; the longest aggregates here are shorter. */
const BATCH = 10_000;

interface Known {
  readonly sum: number;
  readonly version: number;
}

/** A command handler as one would write it on the bare client: no idempotency, no queue, no second try. */
export interface HandWritten extends AsyncDisposable {
  /** From a cache of its own; an aggregate that is not there is read. */
  warm(id: string): Promise<void>;
  /** Reads the aggregate with one batched direct get. */
  cold(id: string): Promise<void>;
}

export async function openHandWritten(url: string): Promise<HandWritten> {
  const connection = await connect({ servers: url.split(','), noAsyncTraces: true });
  const js = jetstream(connection);
  const { direct } = await jetstreamManager(connection, { checkAPI: false });
  const cache = new Map<string, Known>();
  const read = async (id: string): Promise<Known> => {
    const subject = subjectOf(TEST_LOG.prefix, tallyRef(id));
    let known: Known = { sum: 0, version: 0 };
    const query = { seq: 1, next_by_subj: subject, batch: BATCH };
    for await (const { data, seq } of await direct.getBatch(TEST_LOG.stream, query)) {
      known = { sum: known.sum + sumOf(data), version: seq };
    }
    return known;
  };
  return {
    warm: async (id) => {
      cache.set(id, await decideOn(js, id, cache.get(id) ?? (await read(id))));
    },
    cold: async (id) => {
      await decideOn(js, id, await read(id));
    },
    [Symbol.asyncDispose]: () => connection.close(),
  };
}

const decode = decoderOf(CommitSchema);

function sumOf(data: Uint8Array): number {
  const events = decode(data).decisions.flatMap((decision) => decision.events);
  const codec = codecOf<Int32Value>(tally);
  return events.map((stored) => codec.decode(stored)).reduce(tally.evolve, 0);
}

async function decideOn(js: JetStreamClient, id: string, { sum, version }: Known): Promise<Known> {
  const subject = subjectOf(TEST_LOG.prefix, tallyRef(id));
  const bytes = encodeCommit(tallyCommit(systemRuntime.id()));
  const { seq } = await js.publish(subject, bytes, { expect: { lastSubjectSequence: version } });
  return { sum: sum + 1, version: seq };
}
