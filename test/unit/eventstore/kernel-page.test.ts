import { readFileSync } from 'node:fs';
import { describe, expect, it, vi } from 'vitest';
import { page, tank } from './kernel-page.ts';

const read = (path: string): string => readFileSync(new URL(path, import.meta.url), 'utf8');

const compiled = read('./kernel-page.ts').split('\n').map(trimmed).join('\n');
const examples = [
  ...read('../../../docs/kernel.md').matchAll(/<!-- example: (\S+) -->\n```ts\n([\s\S]*?)```/g),
];

function trimmed(line: string): string {
  return line.trim().replace("'../../../src/", "'../src/");
}

describe('the page about the kernel', () => {
  it('has its examples', () => {
    expect(examples.map(([, name]) => name)).toEqual([
      'decider',
      'handler',
      'commit-all',
      'guard',
      'append',
      'read',
      'subscribe',
      'testing',
    ]);
  });

  it.each(examples.map(([, name, code]) => ({ name, code })))(
    'shows what is compiled: $name',
    ({ code = '' }) => {
      const lines = code.trim().split('\n').map(trimmed);
      for (const line of lines.filter((l) => l.startsWith('import '))) {
        const [names = '', from = ''] = line.replace('import ', '').split(' from ');
        const ours = compiled.split('\n').find((l) => l.endsWith(` from ${from}`)) ?? '';
        for (const name of names.match(/\w+/g) ?? []) expect(ours).toContain(name);
      }
      const body = lines.filter((l) => !l.startsWith('import ')).join('\n');
      expect(compiled).toContain(body.trim());
    },
  );

  it('says what happens when it is run', async () => {
    const print = vi.spyOn(console, 'log').mockImplementation(() => undefined);
    const handler = await page();
    expect(print.mock.calls).toEqual([['accepted', 5], [3, 2, 'a.csv'], ['t1'], ['t2'], [10], [5]]);
    print.mockRestore();
    expect((await handler.load(tank, 't1')).state).toBe(2);
    expect((await handler.load(tank, 't2')).state).toBe(2);
    const empty = { commandId: 'c2', actor: 'page' };
    expect(await handler.execute(tank, 't1', { drain: 4 }, empty)).toMatchObject({
      outcome: 'rejected',
      rejection: { code: 'tank/too-empty' },
    });
  });
});
