import { toBinary } from '@bufbuild/protobuf';
import { MsgHdrsImpl } from '@nats-io/transport-node';
import { LogUnavailable } from '../../src/eventstore/errors.ts';
import type { Log } from '../../src/eventstore/log.ts';
import type { Requests } from '../../src/eventstore/nats/requests.ts';
import { commitHeaders, HEADER, parseAck } from '../../src/eventstore/nats/wire.ts';
import { numberOf } from '../../src/eventstore/position.ts';
import { subjectOf } from '../../src/eventstore/stream.ts';
import { CommitSchema } from '../../src/gen/jetledger/eventstore/v1/commit_pb.ts';

/** A log that stores whatever it is given, without looking at the expected version. */
export function withoutExpectation(log: Log, requests: Requests, prefix: string): Log {
  return {
    ...log,
    append: async (stream, expected, commit) => {
      const headers = MsgHdrsImpl.decode(commitHeaders(commit, expected).encode());
      headers.delete(HEADER.expectedSubjectSequence);
      const bytes = toBinary(CommitSchema, commit);
      const reply = await requests.request(subjectOf(prefix, stream), bytes, { headers, timeoutMs: 1_000 });
      if (reply.failed !== undefined) throw new LogUnavailable(String(reply.failed));
      const { seq } = parseAck(reply.msg);
      if (seq === undefined) throw new LogUnavailable('refused');
      return { appended: true, version: seq };
    },
  };
}

/** A log that says "stored" as soon as a commit is on its way, with the version it will probably get. */
export function acknowledgingEarly(log: Log, requests: Requests, prefix: string): Log {
  return {
    ...log,
    append: async (stream, expected, commit) => {
      const version = numberOf(await log.head()) + 1;
      if (!requests.connected()) throw new LogUnavailable('not connected');
      const headers = commitHeaders(commit, expected);
      requests.connection.publish(subjectOf(prefix, stream), toBinary(CommitSchema, commit), { headers });
      return { appended: true, version };
    },
  };
}
