import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { BEGINNING } from '../../src/eventstore/index.ts';
import { createSqliteIndexes } from '../../src/projections/engine/index.ts';
import { indexContract } from '../../src/testing/contracts/index-contract.ts';
import { createMemoryIndexes, type MemoryIndexFiles } from '../../src/testing/memory-indexes.ts';

describe('indexes in memory', () => {
  indexContract(() => {
    const files: MemoryIndexFiles = new Map();
    return { next: () => createMemoryIndexes(files), end: async () => undefined };
  });
});

describe('indexes in files', () => {
  indexContract(() => {
    const dir = mkdtempSync(join(tmpdir(), 'jetledger-lists-'));
    return {
      next: () => createSqliteIndexes({ dir }),
      end: () => rm(dir, { recursive: true, force: true }),
    };
  });
});

it('indexes in files are closed while their lists are being made, again and again, and the process goes on', async () => {
  const scopeOf = (name: string) => ({
    ...{ name, bucket: name, incarnation: 'one', version: '1' },
    columns: { group: 'text', at: 'integer' } as const,
    lists: Array.from({ length: 6 }, () => ({ equal: ['group'], sort: 'at' })),
  });
  const changes = Array.from({ length: 300 }, (_, at) => ({ key: `row-${at}`, entry: { group: 'a', at } }));
  for (let round = 0; round < 30; round++) {
    const store = createSqliteIndexes({ dir: '' });
    const indexes = await Promise.all(['a', 'b', 'c', 'd'].map((name) => store.open(scopeOf(name))));
    const filling = { revision: 1, position: undefined, checkpoints: {} };
    await Promise.all(indexes.map((index) => index.apply(changes, filling)));
    // This makes the lists, step by step, and the end comes between the steps.
    const filled = { ...filling, position: BEGINNING };
    const ended = Promise.allSettled(indexes.map((index) => index.apply(changes, filled)));
    await store.close();
    expect(await Promise.race([ended, delay(5_000)]), 'nobody waits for ever').toHaveLength(4);
    await expect(store.open(scopeOf('a'))).rejects.toThrow('closed');
  }
}, 60_000);
