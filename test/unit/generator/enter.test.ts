import { expect, it, test } from 'vitest';
import { entered } from '../../../src/generator/enter.ts';

const importLine = "import { book } from './domain/book.ts';";
const entry = { array: 'aggregates', element: 'book', importLine };
const enter = (text: string): string => entered(text, entry, 'src/service.ts');

test.each([
  ['an empty list', '[]', '[book]'],
  ['a list on one line', '[task]', '[task, book]'],
  ['a list on several lines', '[\n  task,\n  user,\n]', '[\n  task,\n  user,\n  book,\n]'],
  ['a list without its last comma', '[\n  task\n]', '[\n  task,\n  book,\n]'],
])('%s gets the element at its end', (_what, before, after) => {
  expect(enter(`export const aggregates: readonly AnyDecider[] = ${before};\n`)).toBe(
    `${importLine}\nexport const aggregates: readonly AnyDecider[] = ${after};\n`,
  );
});

it('leaves a list as it is that has the element, and enters one whose name only begins alike', () => {
  const there = 'export const aggregates = [task, book];\n';
  expect(enter(there)).toBe(there);
  expect(enter('export const aggregates = [bookshelf];\n')).toContain('[bookshelf, book]');
});

it('enters in the list that is named, not in another', () => {
  const text =
    'export const aggregatesOfOld = [];\nexport const aggregates = [];\nexport const views = [];\n';
  expect(enter(text)).toBe(
    `${importLine}\nexport const aggregatesOfOld = [];\nexport const aggregates = [book];\nexport const views = [];\n`,
  );
});

it('enters an element that brings its import along in what a function returns', () => {
  const element = "(await import('./books.ts')).bookApi";
  const before =
    "export async function modules(): Promise<Api[]> {\n  return [\n    (await import('./a.ts')).a,\n  ];\n}\n";
  const after = entered(before, { array: 'modules', element }, 'list.ts');
  expect(after).toBe(before.replace('a,\n  ]', `a,\n  ${element},\n]`));
  expect(entered(after, { array: 'modules', element }, 'list.ts')).toBe(after);
});

it('puts the import among those of neighbours, in their order', () => {
  const others = [
    "import { x } from 'x';",
    "import { a } from './a.ts';",
    "import { task } from './domain/task.ts';",
  ];
  const [x, a, task] = others;
  expect(enter([...others, 'const aggregates = [task];'].join('\n'))).toBe(
    [x, a, importLine, task, 'const aggregates = [task, book];'].join('\n'),
  );
});

it('refuses a file without the list, with what to enter by hand', () => {
  expect(() => enter('export const views = [];\n')).toThrow(
    'src/service.ts has no array aggregates: enter book by hand where the service finds it.',
  );
});
