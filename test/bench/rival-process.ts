import { connect } from '@nats-io/transport-node';
import { encodeCommit } from '../../src/eventstore/codec/stored-commit.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import { subjectOf } from '../../src/eventstore/stream.ts';
import { TEST_LOG } from '../support/nats-log.ts';
import { tallyCommit, tallyRef } from './tally.ts';

/** What the parent says: whose aggregates, or how many commits to make now. */
type Told = { readonly ids: readonly string[] } | { readonly commits: number };

const connection = await connect({ servers: (process.argv[2] ?? '').split(','), noAsyncTraces: true });
let ids: readonly string[] = [];

process.on('disconnect', () => process.exit(0));
process.on('message', (told: Told) => {
  if ('ids' in told) ids = told.ids;
  else for (let i = 0; i < told.commits; i++) commitSomewhere();
});
process.send?.('ready');

/** Without an expectation, so that it is always the other one who loses. */
function commitSomewhere(): void {
  const id = ids[Math.floor(Math.random() * ids.length)];
  if (id === undefined) return;
  connection.publish(subjectOf(TEST_LOG.prefix, tallyRef(id)), encodeCommit(tallyCommit(systemRuntime.id())));
}
