import { fromBinary, type Message, toBinary } from '@bufbuild/protobuf';
import type { EmailKey } from '../../app/email-key.ts';
import { order } from '../../domain/order.ts';
import {
  codecOf,
  type EventCodec,
  EventStoreError,
  type Log,
  loadAt,
  type PersonalData,
  streamOfSubject,
} from '../../eventstore/index.ts';
import {
  type Commit,
  CommitSchema,
  type Event as StoredEvent,
} from '../../gen/jetledger/eventstore/v1/commit_pb.ts';
import { aggregates } from '../shop.ts';
import { UNKEYED_BYTES } from './share.ts';

/** What a log is encrypted with. */
export interface EncryptDeps {
  /** As it is, for what an event of an earlier build does not say. */
  readonly log: Log;
  readonly personal: PersonalData;
  readonly emailKey: Pick<EmailKey, 'keyedFingerprint'>;
}

/** An event that is read, with where it goes. */
interface Read {
  readonly codec: EventCodec<Message>;
  readonly id: string;
  readonly event: Message;
  readonly replace: (stored: StoredEvent) => void;
}

const codecs = new Map(aggregates.map((decider) => [decider.category, codecOf<Message>(decider)]));

/**
 * Encrypts messages of the log: personal texts under the keys of their persons, digests of requests under the key of
 * addresses. Ids, times and everything else stay as they are, and so does what is no commit of the service, or a damaged
 * one.
 * @returns what each message holds from now on
 * @throws KeysUnavailable, UnknownEventType
 */
export async function encryptMessages(
  deps: EncryptDeps,
  batch: readonly { readonly subject: string; readonly data: Uint8Array }[],
): Promise<readonly Uint8Array[]> {
  const reads: Read[] = [];
  const commits = await Promise.all(batch.map((message) => readCommit(deps, message, reads)));
  const ring = deps.personal.ring();
  const persons = new Set(reads.flatMap(({ codec, event, id }) => codec.persons(event, id)));
  if (persons.size > 0) await ring.fetch({ persons, how: 'make' });
  for (const { codec, event, id, replace } of reads) replace(codec.encode(event, { id, keys: ring }));
  return batch.map(({ data }, index) => {
    const commit = commits[index];
    return commit === undefined ? data : toBinary(CommitSchema, commit);
  });
}

async function readCommit(
  { log, emailKey }: EncryptDeps,
  { subject, data }: { readonly subject: string; readonly data: Uint8Array },
  reads: Read[],
): Promise<Commit | undefined> {
  const { category, id } = streamOfSubject(subject);
  const codec = codecs.get(category);
  const commit = codec === undefined ? undefined : undamaged(() => fromBinary(CommitSchema, data));
  if (codec === undefined || commit === undefined) return undefined;
  for (const decision of commit.decisions) {
    if (decision.fingerprint.length === UNKEYED_BYTES)
      decision.fingerprint = emailKey.keyedFingerprint(decision.fingerprint);
    if (!codec.personal) continue;
    for (const [index, stored] of decision.events.entries()) {
      if (stored.encryption !== undefined) continue;
      const read = undamaged(() => codec.decode(stored, id));
      if (read === undefined) continue;
      const event = await completed(log, id, read);
      if (codec.persons(event, id).length === 0) continue;
      const replace = (sealed: StoredEvent): void => {
        decision.events[index] = sealed;
      };
      reads.push({ codec, id, event, replace });
    }
  }
  return commit;
}

/** What is damaged stays as it is, and `verify` tells of it. */
function undamaged<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof EventStoreError && error.code !== 'event/corrupt') throw error;
    return undefined;
  }
}

const NAMELESS = new Set(['jetledger.order.v1.OrderCancelled', 'jetledger.order.v1.OrderRefundGranted']);

/** Events of earlier builds that do not say whose order it is; their reasons are its customer's. */
async function completed(log: Log, id: string, event: Message): Promise<Message> {
  if (!NAMELESS.has(event.$typeName) || !('userId' in event) || event.userId !== '') return event;
  const { state } = await loadAt(log, order, id, {});
  return 'userId' in state ? Object.assign({ ...event }, { userId: state.userId }) : event;
}
