import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createPersonKeys } from '../../eventstore/personal/bucket-keys.ts';
import { createForgetting } from '../../eventstore/personal/forgetting.ts';
import { KeysUnavailable } from '../../eventstore/personal/keys.ts';
import { createMasterKeys } from '../../eventstore/personal/master-keys.ts';
import type { KeysUnderTest } from './bucket-support.ts';

const masters = createMasterKeys(new Uint8Array(32).fill(1));
const bytes = (text: string) => new TextEncoder().encode(text);

/** What forgetting persons promises on every kind of bucket. */
export function forgettingContract(name: string, makeBuckets: () => Promise<KeysUnderTest>): void {
  describe(`${name}: forgetting persons`, () => {
    let current: KeysUnderTest | undefined;
    beforeAll(async () => {
      current = await makeBuckets();
    });
    afterAll(async () => {
      await current?.stop();
    });
    const under = (): KeysUnderTest => {
      if (current === undefined) throw new Error('the buckets did not start');
      return current;
    };
    destroying(() => usesOf(under()));
    ending(() => usesOf(under()));
  });
}

function usesOf({ bucket, ledger, openSecond }: KeysUnderTest) {
  const slept: number[] = [];
  const runtime = {
    now: () => 1_900_000_000_000,
    sleep: async (ms: number) => {
      slept.push(ms);
    },
  };
  const keysOf = async (person: string, how: 'read' | 'make', keys = bucket) =>
    (await createPersonKeys({ bucket: keys, masters }).keysOf([person], how)).get(person);
  return {
    bucket,
    ledger,
    openSecond,
    slept,
    keysOf,
    forgetting: createForgetting({ ledger, keys: bucket, runtime }),
    entered: async (person: string) => {
      const found: number[] = [];
      for await (const one of createForgetting({ ledger, keys: bucket }).all())
        if (one.person === person) found.push(one.at);
      return found;
    },
  };
}

type Uses = () => ReturnType<typeof usesOf>;

function destroying(uses: Uses): void {
  it('destroys the key for every process, enters it once, and waits until no lease is left', async () => {
    const { forgetting, keysOf, openSecond, slept, entered } = uses();
    await keysOf('ada', 'make');
    await forgetting.forget('ada');
    expect(slept).toEqual([2_000]);
    const second = await openSecond();
    for (const how of ['read', 'make'] as const) expect(await keysOf('ada', how, second)).toBe('forgotten');
    await forgetting.forget('ada');
    expect(await entered('ada')).toEqual([1_900_000_000_000]);
    expect([await forgetting.has('ada'), await forgetting.has('somebody else')]).toEqual([true, false]);
  });

  it('leaves nothing of a key in what the bucket keeps', async () => {
    const { forgetting, keysOf, bucket } = uses();
    await keysOf('grace', 'make');
    await forgetting.forget('grace');
    const row = await bucket.get('grace', { leader: true });
    expect(new TextDecoder().decode(row?.value)).toBe('{"forgotten":1900000000000}');
  });

  it('makes no key for a person who never had one', async () => {
    const { forgetting, keysOf } = uses();
    await forgetting.forget('nobody yet');
    expect(await keysOf('nobody yet', 'make')).toBe('forgotten');
  });

  it('wins over processes that make a key meanwhile, and over others that forget', async () => {
    const { forgetting, keysOf } = uses();
    const made = Array.from({ length: 8 }, () => keysOf('crowd', 'make'));
    await Promise.all([forgetting.forget('crowd'), forgetting.forget('crowd'), ...made]);
    expect(await keysOf('crowd', 'make')).toBe('forgotten');
    expect(await keysOf('crowd', 'read')).toBe('forgotten');
  });

  it('goes on over a key that is damaged or was removed', async () => {
    const { forgetting, keysOf, bucket } = uses();
    for (const value of [bytes('{}'), undefined]) {
      const revision = (await bucket.get('broken', { leader: true }))?.revision ?? 0;
      await bucket.write({ key: 'broken', value, expectedRevision: revision });
    }
    await forgetting.forget('broken');
    expect(await keysOf('broken', 'read')).toBe('forgotten');
  });
}

function ending(uses: Uses): void {
  it('is ended by whoever starts next, once it stands in the ledger', async () => {
    const { forgetting, keysOf, bucket } = uses();
    await forgetting.finish();
    for (const person of ['left', 'half', 'keeps']) await keysOf(person, 'make');
    for (const person of ['left', 'half']) await forgetting.enter({ person, at: 5 });
    const half = await bucket.get('half', { leader: true });
    const value = bytes('{"forgotten":5,"erasing":true}');
    await bucket.write({ key: 'half', value, expectedRevision: half?.revision ?? 0 });
    expect(await forgetting.finish()).toBe(2);
    expect(await forgetting.finish()).toBe(0);
    for (const person of ['left', 'half']) expect(await keysOf(person, 'make')).toBe('forgotten');
    expect(await keysOf('keeps', 'read')).toMatchObject({ number: expect.any(Number) });
  });

  it('names who was forgotten and is not in the ledger', async () => {
    const { forgetting, bucket } = uses();
    expect(await forgetting.missing()).toEqual([]);
    await bucket.write({ key: 'elsewhere', value: bytes('{"forgotten":7}'), expectedRevision: 0 });
    expect(await forgetting.missing()).toEqual(['elsewhere']);
  });

  it('takes an entry of the ledger that cannot be read for an error, not for somebody', async () => {
    const { forgetting, ledger } = uses();
    await ledger.write({ key: 'torn', value: bytes('{'), expectedRevision: 0 });
    await expect(forgetting.finish()).rejects.toBeInstanceOf(KeysUnavailable);
    await expect(forgetting.forget('torn')).rejects.toBeInstanceOf(KeysUnavailable);
  });
}
