import { JetStreamApiError, type JetStreamClient, jetstream } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { encodeCommit } from '../../src/eventstore/codec/stored-commit.ts';
import type { Log } from '../../src/eventstore/log.ts';
import { versionAt } from '../../src/eventstore/position.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { subjectOf } from '../../src/eventstore/stream.ts';
import { TEST_LOG } from '../support/nats-log.ts';
import { tallyCommit, tallyRef } from './tally.ts';

/** The bare client, as one would write it by hand; on a connection of its own, set as the product's is. */
export interface Bare extends AsyncDisposable {
  readonly js: JetStreamClient;
}

export async function openBare(url: string): Promise<Bare> {
  const connection = await connect({ servers: url.split(','), noAsyncTraces: true });
  return { js: jetstream(connection), [Symbol.asyncDispose]: () => connection.close() };
}

let names = 0;

/** Aggregates that nobody has met, with the version that each is at. */
export function freshAggregates(count: number): { id: string; version: number }[] {
  const series = `${(names++).toString(36)}-${Date.now().toString(36)}`;
  return Array.from({ length: count }, (_, i) => ({ id: `${series}-${i}`, version: 0 }));
}

export type Aggregate = ReturnType<typeof freshAggregates>[number];

/** One commit through the log of the product; after a lost race the tail is read. */
export function appendThrough(log: Log): (aggregate: Aggregate) => Promise<boolean> {
  return async (aggregate) => {
    const stream = tallyRef(aggregate.id);
    const result = await log.append(stream, aggregate.version, tallyCommit(systemRuntime.id()));
    if (result.appended) {
      aggregate.version = result.version;
      return true;
    }
    const tail = await log.read(stream, { after: aggregate.version, confirm: true });
    const last = tail.commits.at(-1);
    if (last !== undefined) aggregate.version = versionAt(last.position);
    return false;
  };
}

const CONFLICTS = new Set([10071, 10164]);
const LAST = /last sequence: (\d+)/;

/** The same commit by `js.publish` with the same expectation; its conflict's text names the version. */
export function publishThrough(js: JetStreamClient): (aggregate: Aggregate) => Promise<boolean> {
  // Encoding and ids are the product's own work; the bare client sends bytes that are there already.
  const bytes = encodeCommit(tallyCommit(systemRuntime.id()));
  return async (aggregate) => {
    const subject = subjectOf(TEST_LOG.prefix, tallyRef(aggregate.id));
    try {
      const ack = await js.publish(subject, bytes, { expect: { lastSubjectSequence: aggregate.version } });
      aggregate.version = ack.seq;
      return true;
    } catch (error) {
      if (!(error instanceof JetStreamApiError) || !CONFLICTS.has(error.code)) throw error;
      aggregate.version = Number(LAST.exec(error.message)?.[1] ?? aggregate.version);
      return false;
    }
  };
}
