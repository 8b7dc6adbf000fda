import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { CATALOGUE } from '../../../src/cli/catalogue.ts';
import { type Command, UsageError } from '../../../src/cli/command.ts';
import { createCompletion, modelOf } from '../../../src/cli/shell/completion.ts';

const NAMES = CATALOGUE.map(({ name }) => name);
const VIEWS = ['users', 'customers', 'products', 'orders', 'orders_by_user', 'statistics', 'webhooks'];
const ROOMS = ['here', 'hereafter'];

/** What is typed after `jetledger`, the last word as far as it is, and what it may become. */
const CASES: readonly (readonly [typed: string, expected: readonly string[]])[] = [
  ['', [...NAMES, 'help']],
  ['pa', ['parked']],
  ['--v', ['--version']],
  ['help ver', ['verify']],
  ['parked ', ['list', 'show', 'redrive', 'discard']],
  ['parked redrive --con', ['--consumer']],
  ['parked redrive --consumer order-p', ['order-process']],
  ['parked list --consumer no', ['notifications']],
  ['parked --category order ', ['list', 'show', 'redrive', 'discard']],
  ['rebuild --throttle 100 orders ', VIEWS],
  ['rebuild --throttle ', []],
  ['consumers --json pause st', ['stock-watch']],
  ['consumers status ', []],
  ['inspect p', ['product', 'position']],
  ['serve --roles ', ['api', 'projections', 'processes']],
  ['completion ', ['bash', 'zsh', 'fish']],
  ['backup he', ROOMS],
];

const folder = mkdtempSync(join(tmpdir(), 'jetledger-completion-'));
let commands: readonly Command[];
beforeAll(async () => {
  commands = await Promise.all(CATALOGUE.map(({ load }) => load()));
  for (const shell of ['bash', 'zsh', 'fish']) writeFileSync(join(folder, shell), await scriptOf(shell));
}, 60_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function scriptOf(...args: readonly string[]): Promise<string> {
  const lines: string[] = [];
  const context = { config: unused, logger: unused, print: (line: string) => void lines.push(line) };
  const { run } = createCompletion(() => CATALOGUE);
  expect(await run(args, context)).toBe(0);
  return lines.join('\n');
}

function unused(): never {
  throw new Error('not reached');
}

const hasShell = (shell: string): boolean => spawnSync(shell, ['-c', 'true']).status === 0;

/** What a shell says to a text, which gets the script's path and what was typed. */
function inShell(shell: string, text: string, words: readonly string[]): readonly string[] {
  const plain = { bash: ['--norc'], zsh: ['-f'], fish: ['--no-config'] }[shell] ?? [];
  const told = shell === 'fish' ? ['--', ...words] : ['_', ...words];
  const { stdout, stderr, status } = spawnSync(shell, [...plain, '-c', text, ...told], {
    cwd: folder,
    encoding: 'utf8',
  });
  expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
  return stdout.split('\n').flatMap((line) => line.split('\t')[0] || []);
}

const HARNESS: Readonly<Record<string, string>> = {
  // What the shell would call while a person types.
  bash: `source ./bash
    compopt() { folders=(here hereafter); }
    COMP_WORDS=(jetledger "$@"); COMP_CWORD=$#
    $(complete -p jetledger | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
    printf '%s\\n' "\${COMPREPLY[@]}" "\${folders[@]}"`,
  zsh: `compdef() { [[ "$*" == '_jetledger jetledger' ]] }
    source ./zsh
    words=(jetledger "$@"); CURRENT=$#words; PREFIX=$words[-1]
    told() { for word in "$@"; do [[ $word == "$PREFIX"* ]] && print -r -- $word; done; true }
    compset() { PREFIX=\${PREFIX#*=}; }
    compadd() { shift; told "$@" }
    _describe() { told "\${(@)commands%%:*}" }
    _path_files() { told here hereafter }
    _jetledger`,
  fish: `source ./fish
    function __fish_complete_directories; printf '%s\\n' here hereafter; end
    complete -C "jetledger $argv"`,
};

describe.each(Object.keys(HARNESS).filter(hasShell))('completion in %s', (shell) => {
  test.each(CASES)('of "%s"', (typed, expected) => {
    const words = shell === 'fish' ? [typed] : typed.split(' ');
    expect([...inShell(shell, HARNESS[shell] ?? '', words)].sort()).toEqual([...expected].sort());
  });
});

describe('completion', () => {
  it('follows an equals sign, of which bash makes a word of its own', () => {
    const typed = ['parked', 'list', '--consumer', '=', 'order-p'];
    expect(inShell('bash', HARNESS.bash ?? '', typed)).toEqual(['order-process']);
  });

  it('is balanced in the shells that are not here to try it', () => {
    const script = readFileSync(join(folder, 'fish'), 'utf8');
    const count = (pattern: RegExp): number => script.match(pattern)?.length ?? 0;
    expect(inShell('bash', 'bash -n ./zsh', [])).toEqual([]);
    const opened = count(/^\s*(function|for|if|switch) /gm);
    expect(opened).toBeGreaterThan(3);
    expect(count(/^\s*end$/gm)).toBe(opened);
  });

  it('offers only options that the commands know, with a value where they take one', async () => {
    const { next, valued } = modelOf(commands);
    expect(next.get('rebuild -')).toContain('--from-time');
    for (const { name, run } of commands) {
      const context = { config: unused, logger: unused, print: unused };
      for (const option of next.get(`${name} -`) ?? []) {
        if (option === '--help' || name === 'completion') continue;
        const given = valued.includes(option) ? [`${option}=1`] : [option];
        const refused = await run(given, context).catch(({ code }: NodeJS.ErrnoException) => code);
        expect(String(refused), `${name} ${option}`).not.toMatch(/^ERR_PARSE_ARGS/);
      }
    }
  });

  it('wants one shell that it knows', async () => {
    await expect(scriptOf()).rejects.toThrow(UsageError);
    await expect(scriptOf('tcsh')).rejects.toThrow('bash | zsh | fish');
    await expect(scriptOf('bash', 'zsh')).rejects.toThrow(UsageError);
  });
});
