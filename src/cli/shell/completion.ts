import { parseArgs } from 'node:util';
import { categories, consumers, views } from '../../service/shop.ts';
import { type Command, UsageError } from '../command.ts';
import { type CompletionModel, FOLDER, SCRIPTS, SHELLS } from './scripts.ts';

/** What the names in a usage and the options of a command stand for, where that is known without a server. */
const NAMES: Readonly<Record<string, readonly string[]>> = {
  '<view>': views.map(({ name }) => name),
  '<name>': consumers.map(({ name }) => name),
  '<category>': categories,
  '--consumer': consumers.map(({ name }) => name),
  '--category': categories,
};

/** @param entries every command, with how its code is loaded */
export function createCompletion(
  entries: () => readonly { readonly load: () => Promise<Command> }[],
): Command {
  return {
    name: 'completion',
    usage: SHELLS.join(' | '),
    summary: 'Print a script that completes commands, options and names in a shell.',
    help: `Views, consumers and kinds of aggregates are completed by name; no server is asked. Write the script where the shell
looks for it, and open a new shell; again after an update.

Examples:
  jetledger completion bash > ~/.local/share/bash-completion/completions/jetledger
  jetledger completion zsh > "\${fpath[1]}/_jetledger"
  jetledger completion fish > ~/.config/fish/completions/jetledger.fish`,
    run: async (args, { print }) => {
      const { positionals } = parseArgs({ args: [...args], allowPositionals: true, options: {} });
      const shell = SHELLS.find((known) => known === positionals[0]);
      if (shell === undefined || positionals.length > 1)
        throw new UsageError(`Name one shell: jetledger completion ${SHELLS.join(' | ')}`);
      const commands = await Promise.all(entries().map(({ load }) => load()));
      print(SCRIPTS[shell](modelOf(commands)));
      return 0;
    },
  };
}

/** Read from the usage and the help of the commands, so that what is documented is what is completed. */
export function modelOf(
  commands: readonly Pick<Command, 'name' | 'summary' | 'usage' | 'help'>[],
): CompletionModel {
  const names = commands.map(({ name }) => name);
  const next = new Map<string, readonly string[]>([
    ['', [...names, 'help']],
    [' -', ['--help', '--version']],
    ['help', names],
  ]);
  const valued = new Set<string>();
  for (const { name, usage, help } of commands) {
    const options = optionsOf(`${usage}\n${help}`);
    next.set(`${name} -`, [...options.keys(), '--help']);
    for (const [option, values] of options) {
      if (values === undefined) continue;
      valued.add(option);
      next.set(`${name} ${option}`, values);
    }
    for (const [before, words] of argumentsOf(name, usage)) {
      next.set(before, [...(next.get(before) ?? []), ...words]);
    }
  }
  const help = { name: 'help', summary: 'Show all commands, or the details of one.' };
  return { commands: [...commands, help], next, valued: [...valued] };
}

/** The options that a text names, with the values of those that take one: `--id ID`, `--roles api,processes`. */
function optionsOf(text: string): ReadonlyMap<string, readonly string[] | undefined> {
  const options = new Map<string, readonly string[] | undefined>();
  for (const [, option = '', value] of text.matchAll(
    /(--[a-z][a-z-]*)(?: ([A-Z]+\b|[a-z]+(?:,[a-z]+)+))?/g,
  )) {
    const listed = value?.includes(',') ? value.split(',') : [];
    const values = value === undefined ? undefined : (NAMES[option] ?? listed);
    options.set(option, options.get(option) ?? values);
  }
  return options;
}

/** What a usage such as `status | pause <name> [--json]` says of the arguments. */
function argumentsOf(name: string, usage: string): readonly (readonly [string, readonly string[]])[] {
  const forms = usage.replaceAll(/\[[^\]]*\]/g, '').split('|');
  return forms.flatMap((form) => {
    const [first = '-', second] = form.trim().split(/\s+/);
    if (first === '' || first.startsWith('-')) return [];
    const one = first.replace('...', '');
    const words = one === FOLDER ? [FOLDER] : (NAMES[one] ?? [one]);
    const repeated: [string, readonly string[]][] = one === first ? [] : [[`${name} *`, words]];
    const known = second === undefined ? undefined : NAMES[second];
    const further: [string, readonly string[]][] = known && !NAMES[one] ? [[`${name} ${one}`, known]] : [];
    return [[name, words], ...repeated, ...further];
  });
}
