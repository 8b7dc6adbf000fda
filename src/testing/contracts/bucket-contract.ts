import { afterAll, beforeAll, describe } from 'vitest';
import { listing, watching } from './bucket-reading.ts';
import type { BucketUnderTest } from './bucket-support.ts';
import { batches, singleRows } from './bucket-writing.ts';

/** What every implementation of `Bucket` promises. Each `describe` gets a bucket of its own. */
export function bucketContract(name: string, makeBucket: () => Promise<BucketUnderTest>): void {
  const parts = { 'single rows': singleRows, batches, listing, watching };
  for (const [what, body] of Object.entries(parts)) {
    describe(`${name}: ${what}`, () => {
      let current: BucketUnderTest | undefined;
      beforeAll(async () => {
        current = await makeBucket();
      });
      afterAll(async () => {
        await current?.stop();
      });
      body(() => {
        if (current === undefined) throw new Error('the bucket did not start');
        return current;
      });
    });
  }
}
