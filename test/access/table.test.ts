import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { accessTable, withTable } from './table.ts';

it('docs/security.md says who may call what, as the routes do (npm run access:table)', async () => {
  const document = await readFile(new URL('../../docs/security.md', import.meta.url), 'utf8');
  expect(document).toBe(withTable(document, await accessTable()));
});
