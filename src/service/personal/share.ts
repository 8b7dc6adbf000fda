import type { Message } from '@bufbuild/protobuf';
import { codecOf, EventStoreError, type RecordedCommit } from '../../eventstore/index.ts';
import { aggregates } from '../shop.ts';

/** The length of a digest of a request that is not under a secret key: addresses could be tried by it. */
export const UNKEYED_BYTES = 16;

/** How much of what commits hold of persons is encrypted. */
export interface PersonalShare {
  /** Texts of marked fields. */
  sealed: number;
  plain: number;
  /** Digests of requests that are not under a secret key. */
  unkeyed: number;
}

const codecs = new Map(aggregates.map((decider) => [decider.category, codecOf<Message>(decider)]));

/** Adds what a commit holds to a share. @throws UnknownEventType, CorruptCommit, EventStoreError `event/corrupt` */
export function addShare(share: PersonalShare, { stream, decisions }: RecordedCommit): void {
  const codec = codecs.get(stream.category);
  for (const { fingerprint, events } of decisions) {
    if (fingerprint.length === UNKEYED_BYTES) share.unkeyed++;
    if (codec?.personal !== true) continue;
    for (const stored of events) {
      const sealed = stored.sealed.length;
      const event = codec.decode(stored, stream.id);
      share.sealed += sealed;
      share.plain += textsOf(() => codec.persons(event, stream.id)) - sealed;
    }
  }
}

/** An event of an earlier build may not say whose text it holds; then it is plain. */
function textsOf(persons: () => readonly string[]): number {
  try {
    return persons().length;
  } catch (error) {
    if (error instanceof EventStoreError && error.code === 'event/invalid') return 1;
    throw error;
  }
}

/** For people: `none of 12 personal texts is plain`, `4 of 12 are plain, and 3 digests of requests are without a key`. */
export function describeShare({ sealed, plain, unkeyed }: PersonalShare): string {
  const all = sealed + plain;
  const texts =
    plain === 0 ? `none of ${all} personal texts is plain` : `${plain} of ${all} personal texts are plain`;
  return unkeyed === 0 ? texts : `${texts}, and ${unkeyed} digests of requests are without a key`;
}
