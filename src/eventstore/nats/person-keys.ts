import { EventStoreError, LogUnavailable } from '../errors.ts';
import { createPersonKeys } from '../personal/bucket-keys.ts';
import { createForgetting, type Forgetting } from '../personal/forgetting.ts';
import type { KeyBucket } from '../personal/key-bucket.ts';
import { type PersonKeys, UnknownMasterKey } from '../personal/keys.ts';
import type { MasterKeys } from '../personal/master-keys.ts';
import { personOfToken, readStoredKey } from '../personal/stored-key.ts';
import type { Runtime } from '../runtime.ts';
import { createGets } from './gets.ts';
import { bucketStream, createNatsBucket } from './nats-bucket.ts';
import type { BucketKind } from './nats-buckets.ts';
import { type Requests, readFault } from './requests.ts';
import { isPassing } from './wire.ts';

/** Where a server keeps keys of persons. */
export interface NatsKeysOptions {
  readonly requests: Requests;
  readonly runtime: Runtime;
  /** First part of the bucket's name. */
  readonly prefix: string;
  /** How long one request may take, in milliseconds. */
  readonly timeoutMs: number;
}

/** The name of the bucket of persons' keys. */
export function keyBucket(prefix: string): string {
  return `${prefix}_keys`;
}

/** How the keys of persons and the ledger of who was forgotten are kept: what is lost of either is lost for good. */
export function personalKinds(prefix: string, replicas: number): readonly (readonly [string, BucketKind])[] {
  const durable = { replicas, persist: 'sync', storage: 'file' } as const;
  return [
    [keyBucket(prefix), { ...durable, keeps: 'erasable' }],
    [forgottenBucket(prefix), { ...durable, keeps: 'first' }],
  ];
}

/** The name of the bucket that says who was forgotten. */
export function forgottenBucket(prefix: string): string {
  return `${prefix}_forgotten`;
}

/** The bucket of persons' keys, which need not be there yet. It is read through its leader only. */
export function openKeyBucket({ prefix, ...options }: NatsKeysOptions): KeyBucket {
  const { requests, timeoutMs } = options;
  const name = keyBucket(prefix);
  const stream = bucketStream(name);
  const gets = createGets(requests, stream, timeoutMs);
  return {
    ...createNatsBucket({ ...options, name, batches: false, announceLosses: false }),
    eraseBefore: async (key, revision) => {
      for (;;) {
        const found = await gets.leader({ next_by_subj: `$KV.${name}.${key}`, seq: 1 });
        if (found === undefined || found.seq >= revision) return;
        await erase(requests, stream, found.seq, timeoutMs);
      }
    },
  };
}

/** Has the server write over a message in its files. @throws LogUnavailable, PermissionDenied, EventStoreError */
async function erase(requests: Requests, stream: string, seq: number, timeoutMs: number): Promise<void> {
  const what = `erasing the message ${seq} of ${stream}`;
  const subject = `${requests.apiPrefix}.STREAM.MSG.DELETE.${stream}`;
  const reply = await requests.request(subject, JSON.stringify({ seq, no_erase: false }), { timeoutMs });
  if (reply.failed !== undefined) throw readFault(what, reply.failed);
  const { error } = JSON.parse(reply.msg.string()) as {
    error?: { code: number; err_code: number; description: string };
  };
  if (error === undefined || GONE.includes(error.err_code)) return;
  if (isPassing(error.code, error.err_code)) throw new LogUnavailable(`${what}: ${error.description}`);
  throw new EventStoreError(
    'keys/not-erasable',
    `The server refuses ${what}: ${error.description} (${error.err_code}). The bucket must allow it (deny_delete: false).`,
  );
}

/** What the server says of a message that is not there. */
const GONE = [10037, 10043];

/** What destroys keys of persons on a server (protocol 36). The ledger need not be there yet. */
export function createNatsForgetting(options: NatsKeysOptions): Forgetting {
  const { prefix, runtime, ...rest } = options;
  const name = forgottenBucket(prefix);
  const ledger = createNatsBucket({ ...rest, runtime, name, batches: false, announceLosses: false });
  return createForgetting({ ledger, keys: openKeyBucket(options), runtime });
}

/** Keys of persons on a server (protocol 30). */
export function createNatsPersonKeys(
  options: NatsKeysOptions & { readonly masters: MasterKeys },
): PersonKeys {
  const { masters, runtime } = options;
  return createPersonKeys({ bucket: openKeyBucket(options), masters, runtime });
}

/**
 * Looks at the first and the last key of the bucket, so that nobody goes on with another master key than the one that what
 * is there is wrapped with, and wraps new keys beside. Whatever else is wrong is told where a key is needed.
 * @param lost names of master keys that are gone for good, as whoever runs this says
 * @throws UnknownMasterKey
 */
export async function checkMasterKeys(
  { requests, prefix, timeoutMs }: NatsKeysOptions,
  masters: MasterKeys,
  lost: readonly string[],
): Promise<void> {
  const name = keyBucket(prefix);
  const gets = createGets(requests, bucketStream(name), timeoutMs);
  const [first, last] = [{ next_by_subj: '>', seq: 1 }, { last_by_subj: '>' }];
  for (const query of [first, last]) {
    try {
      const found = await gets.leader(query);
      const stored = readStoredKey(found?.data ?? new Uint8Array());
      if (
        found === undefined ||
        stored === undefined ||
        'forgotten' in stored ||
        lost.includes(stored.master)
      )
        continue;
      const person = personOfToken(found.subject.slice(`$KV.${name}.`.length));
      await masters.unwrap(stored.master, person, stored.wrapped);
    } catch (error) {
      if (error instanceof UnknownMasterKey) throw error;
    }
  }
}
