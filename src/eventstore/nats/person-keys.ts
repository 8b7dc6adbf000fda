import type { Bucket } from '../bucket.ts';
import { createPersonKeys } from '../personal/bucket-keys.ts';
import type { PersonKeys } from '../personal/keys.ts';
import type { MasterKeys } from '../personal/master-keys.ts';
import type { Runtime } from '../runtime.ts';
import { createNatsBucket } from './nats-bucket.ts';
import type { Requests } from './requests.ts';

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

/** The bucket of persons' keys, which need not be there yet. It is read through its leader only. */
export function openKeyBucket({ prefix, ...options }: NatsKeysOptions): Bucket {
  return createNatsBucket({ ...options, name: keyBucket(prefix), batches: false, announceLosses: false });
}

/** Keys of persons on a server (protocol 30). */
export function createNatsPersonKeys(
  options: NatsKeysOptions & { readonly masters: MasterKeys },
): PersonKeys {
  const { masters, runtime } = options;
  return createPersonKeys({ bucket: openKeyBucket(options), masters, runtime });
}
