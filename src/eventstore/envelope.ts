import type { Commit, Decision, Event } from '../gen/jetledger/eventstore/v1/commit_pb.ts';
import type { CommandMeta } from './command.ts';

// Messages of the envelope as plain objects: what `create` makes of the same fields, at a tenth of its time. A test
// holds them to that.

const NO_FINGERPRINT = new Uint8Array();

/** What is appended at once, under an id of its own. */
export function commitOf(commitId: string, decisions: readonly Decision[]): Commit {
  return { $typeName: 'jetledger.eventstore.v1.Commit', commitId, decisions: [...decisions] };
}

/** What a command came to. @param now milliseconds since the Unix epoch */
export function decisionOf(meta: CommandMeta, events: Event[], now: number): Decision {
  const { commandId, fingerprint } = meta;
  return {
    $typeName: 'jetledger.eventstore.v1.Decision',
    commandId,
    // A plain copy: what is remembered now equals what is read from the log later, also for a Buffer.
    fingerprint: fingerprint === undefined ? NO_FINGERPRINT : new Uint8Array(fingerprint),
    correlationId: meta.correlationId ?? commandId,
    causationId: meta.causationId ?? '',
    actor: meta.actor,
    traceparent: meta.traceparent ?? '',
    tracestate: meta.tracestate ?? '',
    time: BigInt(now),
    events,
  };
}

/** An event as it is stored: its short type, the version of its schema, and its bytes. */
export function storedEventOf(type: string, schemaVersion: number, data: Uint8Array): Event {
  return { $typeName: 'jetledger.eventstore.v1.Event', type, schemaVersion, data };
}
