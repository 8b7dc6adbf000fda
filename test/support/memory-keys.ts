import { createPersonKeys } from '../../src/eventstore/personal/bucket-keys.ts';
import { createForgetting, type Forgetting } from '../../src/eventstore/personal/forgetting.ts';
import { createMasterKeys } from '../../src/eventstore/personal/master-keys.ts';
import { createPersonalData, type PersonalData } from '../../src/eventstore/personal/personal-data.ts';
import { type Runtime, systemRuntime } from '../../src/eventstore/runtime.ts';
import {
  createMemoryBucketStore,
  openMemoryBucket,
  openMemoryKeyBucket,
} from '../../src/testing/memory-bucket.ts';

/** Keys of persons in memory: what seals and opens with them, and what destroys them without waiting. */
export function createMemoryKeys(runtime: Runtime = systemRuntime): {
  readonly personal: PersonalData;
  /** The same for a process that was told nothing yet. */
  readonly anew: () => PersonalData;
  readonly forgetting: Forgetting;
} {
  const bucket = openMemoryKeyBucket(createMemoryBucketStore('keys'));
  const ledger = openMemoryBucket(createMemoryBucketStore('forgotten'));
  const masters = createMasterKeys(new Uint8Array(32).fill(5));
  const anew = () =>
    createPersonalData({ keys: createPersonKeys({ bucket, masters, runtime }), encrypt: true, runtime });
  return {
    personal: anew(),
    anew,
    forgetting: createForgetting({
      ledger,
      keys: bucket,
      runtime: { ...runtime, sleep: async () => undefined },
    }),
  };
}
