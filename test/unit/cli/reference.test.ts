import { readFile } from 'node:fs/promises';
import { describe, expect, it, test } from 'vitest';
import { CATALOGUE, helpOf, OVERVIEW } from '../../../src/cli/catalogue.ts';
import { cliReference } from '../../support/cli-reference.ts';

const source = (name: string): Promise<string> =>
  readFile(new URL(`../../../src/cli/${name}`, import.meta.url), 'utf8');

describe('the command line', () => {
  it('is documented as its help texts say (npm run cli:reference)', async () => {
    await expect(await cliReference()).toMatchFileSnapshot('../../../docs/cli.md');
    // Every command is loaded, which takes long on a busy machine.
  }, 60_000);

  it('shows nothing and refuses an unknown command without loading any command', async () => {
    for (const file of ['jetledger.ts', 'catalogue.ts', 'command.ts']) {
      const imported = [...(await source(file)).matchAll(/^import (?!type )[^;]*from '([^']+)'/gm)];
      const names = imported.map(([, path]) => path);
      expect(names.filter((path) => path !== './catalogue.ts' && path !== './command.ts')).toEqual([]);
    }
  });

  test.each(CATALOGUE)(
    'the help of $name has examples, and its line of the overview is its own',
    async (entry) => {
      const command = await entry.load();
      expect([command.name, command.summary]).toEqual([entry.name, entry.summary]);
      expect(command.help).toMatch(/^Examples?:\n( {2}.*jetledger.*\n?)+/m);
      expect(helpOf(command)).toMatch(new RegExp(`^Usage: jetledger ${entry.name}[^]*Examples?:`));
      expect(OVERVIEW).toContain(`  ${entry.name}`);
      for (const line of command.help.split('\n')) expect(line.length).toBeLessThanOrEqual(121);
    },
  );

  // The others run until they are ended, or print what a shell reads.
  const answering = CATALOGUE.filter(
    ({ name }) => !['serve', 'cluster', 'demo', 'completion'].includes(name),
  );

  test.each(answering)('$name refuses options that it does not know', async (entry) => {
    const { run } = await entry.load();
    const context = { config: unused, logger: unused, print: unused };
    await expect(run(['--no-such-option'], context)).rejects.toMatchObject({
      code: expect.stringMatching(/^ERR_PARSE_ARGS/),
    });
  });

  test.each(answering.filter(({ name }) => name !== 'new'))('$name prints JSON on demand', async (entry) => {
    const { usage, help } = await entry.load();
    expect(usage + help).toContain('--json');
  });
});

function unused(): never {
  throw new Error('not reached');
}
