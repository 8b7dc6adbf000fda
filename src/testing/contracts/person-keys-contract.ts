import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Bucket } from '../../eventstore/bucket.ts';
import { createPersonKeys, rewrapKeys } from '../../eventstore/personal/bucket-keys.ts';
import { type KeyState, KeysUnavailable } from '../../eventstore/personal/keys.ts';
import { createMasterKeys } from '../../eventstore/personal/master-keys.ts';
import type { KeysUnderTest } from './bucket-support.ts';

const secretOf = (byte: number): Uint8Array => new Uint8Array(32).fill(byte);
const masters = createMasterKeys(secretOf(1));
const runtime = { now: () => Date.now() };

const keysIn = (bucket: Bucket) => createPersonKeys({ bucket, masters, runtime });

async function stateOf(bucket: Bucket, person: string, how: 'read' | 'make'): Promise<KeyState | undefined> {
  return (await keysIn(bucket).keysOf([person], how)).get(person);
}

/** A key without its lease, which is another one for each process. */
const shown = (state: KeyState | undefined) =>
  typeof state === 'object' ? { number: state.number, key: Buffer.from(state.key).toString('hex') } : state;

async function put(bucket: Bucket, key: string, value: string | undefined): Promise<void> {
  const revision = (await bucket.get(key, { leader: true }))?.revision ?? 0;
  const bytes = value === undefined ? undefined : new TextEncoder().encode(value);
  await bucket.write({ key, value: bytes, expectedRevision: revision });
}

/** What keys of persons promise on every kind of bucket. */
export function personKeysContract(name: string, makeBucket: () => Promise<KeysUnderTest>): void {
  describe(`${name}: keys of persons`, () => {
    let current: KeysUnderTest | undefined;
    beforeAll(async () => {
      current = await makeBucket();
    });
    afterAll(async () => {
      await current?.stop();
    });
    const under = (): KeysUnderTest => {
      if (current === undefined) throw new Error('the bucket did not start');
      return current;
    };
    making(under);
    failing(under);
    masterKeys(under);
  });
}

function making(under: () => KeysUnderTest): void {
  it('are not made by reading', async () => {
    expect(await stateOf(under().bucket, 'nobody', 'read')).toBe('none');
    expect(await stateOf(under().bucket, 'nobody', 'read')).toBe('none');
    expect(await under().bucket.get('nobody', { leader: true })).toBeUndefined();
  });

  it('are made once, and every other process then has the same', async () => {
    const { bucket, openSecond } = under();
    const made = shown(await stateOf(bucket, 'ada', 'make'));
    expect(made).toMatchObject({ number: expect.any(Number), key: expect.stringMatching(/^[0-9a-f]{64}$/) });
    const second = await openSecond();
    expect(shown(await stateOf(second, 'ada', 'read'))).toEqual(made);
    expect(shown(await stateOf(second, 'ada', 'make'))).toEqual(made);
  });

  it('are the same for all of many processes that make one at once', async () => {
    const { bucket, openSecond } = under();
    const second = await openSecond();
    const all = await Promise.all(
      Array.from({ length: 10 }, (_, i) => stateOf(i % 2 === 0 ? bucket : second, 'crowd', 'make')),
    );
    expect(new Set(all.map((state) => JSON.stringify(shown(state)))).size).toBe(1);
  });

  it('are kept for any id, and apart for ids that look alike', async () => {
    const { bucket } = under();
    const persons = ['a.b', 'A', 'Käthe', '=a', 'x y', '*', 'x'.repeat(128)];
    const made = await keysIn(bucket).keysOf(persons, 'make');
    const read = await keysIn(bucket).keysOf(persons, 'read');
    expect(persons.map((p) => shown(read.get(p)))).toEqual(persons.map((p) => shown(made.get(p))));
    expect(new Set(persons.map((p) => JSON.stringify(shown(made.get(p))))).size).toBe(persons.length);
    for (const wrong of ['', 'x'.repeat(129)])
      await expect(stateOf(bucket, wrong, 'make')).rejects.toMatchObject({ code: 'event/invalid' });
  });

  it('of who was forgotten are gone for good', async () => {
    const { bucket } = under();
    await stateOf(bucket, 'eve', 'make');
    await put(bucket, 'eve', '{"forgotten":1900000000000}');
    expect(await stateOf(bucket, 'eve', 'read')).toBe('forgotten');
    expect(await stateOf(bucket, 'eve', 'make')).toBe('forgotten');
  });
}

function failing(under: () => KeysUnderTest): void {
  it('that are damaged or were removed are an error that may pass, not a person who was forgotten, and not made anew', async () => {
    const { bucket } = under();
    for (const value of ['', '{}', '{"forgotten":"yes"}', '{"number":1,"master":"x"}', 'null', undefined]) {
      await put(bucket, 'broken', value);
      for (const how of ['read', 'make'] as const) {
        const state = stateOf(bucket, 'broken', how);
        await expect(state, `${how} ${value}`).rejects.toBeInstanceOf(KeysUnavailable);
      }
    }
  });

  it('that were put where those of another person belong are refused', async () => {
    const { bucket } = under();
    await stateOf(bucket, 'from', 'make');
    const row = await bucket.get('from', { leader: true });
    await put(bucket, 'to', new TextDecoder().decode(row?.value));
    await expect(stateOf(bucket, 'to', 'read')).rejects.toBeInstanceOf(KeysUnavailable);
  });

  it('are used for no longer than their lease', async () => {
    const { bucket } = under();
    let now = 0;
    const keys = createPersonKeys({ bucket, masters, runtime: { now: () => now } });
    const made = (await keys.keysOf(['lent'], 'make')).get('lent');
    expect(made).toMatchObject({ until: 2_000 });
    await put(bucket, 'lent', '{"forgotten":1}');
    now = 1_999;
    expect((await keys.keysOf(['lent'], 'read')).get('lent')).toEqual(made);
    now = 2_000;
    expect((await keys.keysOf(['lent'], 'read')).get('lent')).toBe('forgotten');
    for (const leaseMs of [0, 2_001, Number.NaN])
      expect(() => createPersonKeys({ bucket, masters, leaseMs })).toThrow(RangeError);
  });
}

function masterKeys(under: () => KeysUnderTest): void {
  it('do not open with another master key', async () => {
    const { bucket } = under();
    await stateOf(bucket, 'wrapped', 'make');
    const wrong = createPersonKeys({ bucket, masters: createMasterKeys(secretOf(9)), runtime });
    await expect(wrong.keysOf(['wrapped'], 'read')).rejects.toThrow(
      `the master key ${masters.current} is not among those given`,
    );
  });

  it('are wrapped anew with a new master key, and stay what they are', async () => {
    const { bucket } = under();
    for (const key of ['broken', 'to']) await put(bucket, key, '{"forgotten":1}');
    const before = shown(await stateOf(bucket, 'turned', 'make'));
    const both = createMasterKeys(secretOf(2), [secretOf(1)]);
    const first = await rewrapKeys({ bucket, masters: both });
    expect(first).toMatchObject({ kept: 0, changed: 0 });
    expect(first.rewrapped).toBeGreaterThan(0);
    expect(await rewrapKeys({ bucket, masters: both })).toEqual({
      rewrapped: 0,
      kept: first.rewrapped,
      changed: 0,
    });
    const alone = createPersonKeys({ bucket, masters: createMasterKeys(secretOf(2)), runtime });
    expect(shown((await alone.keysOf(['turned'], 'read')).get('turned'))).toEqual(before);
    await expect(stateOf(bucket, 'turned', 'read')).rejects.toBeInstanceOf(KeysUnavailable);
  });
}
