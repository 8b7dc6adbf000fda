import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe } from 'vitest';
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
