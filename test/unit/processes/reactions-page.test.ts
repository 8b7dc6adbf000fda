import { existsSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const ROOT = new URL('../../../', import.meta.url);
/** Where the files lie that the example of an aggregate adds. */
const COUPON = new URL('test/fixtures/coupon/', ROOT);

const page = readFileSync(new URL('docs/reactions.md', ROOT), 'utf8');
const examples = [...page.matchAll(/<!-- example: (\S+) -->\n```ts\n([\s\S]*?)```/g)];

const linesOf = (code: string): string[] => code.split('\n').map((line) => line.trim());

it.each(examples.map(([, path = '', code = '']) => ({ path, code })))(
  'the page about reactions shows what is compiled: $path',
  ({ path, code }) => {
    const file = [new URL(path, ROOT), new URL(path, COUPON)].find((url) => existsSync(url));
    const compiled = file && linesOf(readFileSync(file, 'utf8'));
    const missing = linesOf(code).filter((line) => compiled?.includes(line) !== true);
    expect(missing).toEqual([]);
    expect(linesOf(code).length).toBeGreaterThan(10);
  },
);

it('the page about reactions has its examples', () => {
  expect(examples).toHaveLength(3);
});
