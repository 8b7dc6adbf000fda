import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { aggregates, reactions, views } from '../../src/service/shop.ts';
import { referencePage } from './page.ts';

it('docs/reference.md says what the service is made of, as its list and its routes do (npm run reference)', async () => {
  const page = await readFile(new URL('../../docs/reference.md', import.meta.url), 'utf8');
  expect(page, 'Run: npm run reference').toBe(await referencePage());
  const names = [
    ...aggregates.map(({ category }) => category),
    ...views.map(({ name }) => name),
    ...reactions.map(({ name }) => name),
  ];
  for (const name of names) expect(page).toContain(`| \`${name}\` |`);
});
