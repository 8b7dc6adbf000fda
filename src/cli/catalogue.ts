import type { Command } from './command.ts';

/** A command by its name; its code is loaded when it is asked for, so that the overview and refusals are quick. */
export interface CatalogueEntry {
  readonly name: string;
  /** The command's own summary, word for word. */
  readonly summary: string;
  readonly load: () => Promise<Command>;
  /** It goes on when nobody reads what it prints any more. */
  readonly works?: true;
}

/** Every command, in the order of the overview. */
export const CATALOGUE: readonly CatalogueEntry[] = [
  {
    name: 'serve',
    summary: 'Run the service until Ctrl-C or SIGTERM.',
    load: async () => (await import('./serve.ts')).serveCommand,
    works: true,
  },
  {
    name: 'cluster',
    summary: 'Run three nats-servers and three services on this machine, for trying fail-over by hand.',
    load: async () => (await import('./cluster.ts')).clusterCommand,
    works: true,
  },
  {
    name: 'demo',
    summary:
      'Register users, list products, place orders that succeed and fail, refund one, show what was stored.',
    load: async () => (await import('./demo.ts')).demoCommand,
    works: true,
  },
  {
    name: 'new',
    summary: 'Make a service on the kernel, or add an aggregate, a view or a reaction.',
    load: async () => (await import('./new.ts')).newCommand,
    works: true,
  },
  {
    name: 'topology',
    summary: 'Show or create what JetLedger needs on the NATS server.',
    load: async () => (await import('./topology.ts')).topologyCommand,
    works: true,
  },
  {
    name: 'doctor',
    summary: 'Check server, configuration and state, and say what to do.',
    load: async () => (await import('./doctor.ts')).doctorCommand,
  },
  {
    name: 'status',
    summary: 'Show how the log, views, consumers, timers and notifications stand.',
    load: async () => (await import('./status.ts')).statusCommand,
  },
  {
    name: 'inspect',
    summary: 'Show an aggregate as its events make it, or one commit of the log.',
    load: async () => (await import('./inspect.ts')).inspectCommand,
  },
  {
    name: 'rebuild',
    summary: 'Replay the log into a fresh bucket of a view and switch to it.',
    load: async () => (await import('./rebuild.ts')).rebuildCommand,
    works: true,
  },
  {
    name: 'consumers',
    summary: 'See how the consumers of events stand; pause and resume them.',
    load: async () => (await import('./consumers.ts')).consumersCommand,
    works: true,
  },
  {
    name: 'parked',
    summary: 'Look at events that a consumer could not handle, try them again, or give them up.',
    load: async () => (await import('./parked.ts')).parkedCommand,
    works: true,
  },
  {
    name: 'skip',
    summary:
      'Have views and reactions pass over a damaged commit; without a position: list what is passed over.',
    load: async () => (await import('./damage/skip.ts')).skipCommand,
    works: true,
  },
  {
    name: 'backup',
    summary: 'Copy the log, and what cannot be folded from it, into a new folder.',
    load: async () => (await import('./backup.ts')).backupCommand,
    works: true,
  },
  {
    name: 'restore',
    summary: 'Bring a backup back on a server that has no log.',
    load: async () => (await import('./restore.ts')).restoreCommand,
    works: true,
  },
  {
    name: 'verify',
    summary: 'Prove that a backup, or a log, is whole: checksums, then a fold of every aggregate.',
    load: async () => (await import('./verify.ts')).verifyCommand,
  },
  {
    name: 'keys',
    summary: 'See what the keys of persons are wrapped with; wrap them with a new master key.',
    load: async () => (await import('./personal/keys.ts')).keysCommand,
    works: true,
  },
  {
    name: 'forget',
    summary: 'Forget a person: destroy the key of whatever is stored of it; prove that nothing is left.',
    load: async () => (await import('./personal/forget.ts')).forgetCommand,
    works: true,
  },
  {
    name: 'forgotten',
    summary: 'Copy the ledger of who was forgotten into a new file.',
    load: async () => (await import('./copies/forgotten.ts')).forgottenCommand,
  },
  {
    name: 'config',
    summary: 'Print the effective configuration, secrets masked.',
    load: async () => (await import('./config.ts')).configCommand,
  },
  {
    name: 'completion',
    summary: 'Print a script that completes commands, options and names in a shell.',
    load: async () => (await import('./shell/completion.ts')).createCompletion(() => CATALOGUE),
  },
];

/** What `jetledger help` shows. */
export const OVERVIEW = `jetledger: users, products and orders as events on NATS JetStream

Usage: jetledger <command> [arguments]

${CATALOGUE.map(({ name, summary }) => `  ${name.padEnd(10)} ${summary}`).join('\n')}
  help       show this, or the details of a command: jetledger help rebuild
  --version  show the version

Configuration: default.yaml and the file that JETLEDGER_ENV names, in configs or JETLEDGER_CONFIG_DIR; any key by
variable, such as JETLEDGER_HTTP__PORT=8080.
Exit codes: 0 done, also when the reader of a pipe has enough; 1 failed or not in order; 2 wrong usage; others
as the help of a command says.`;

/** What `jetledger help <name>` shows. */
export function helpOf({ name, usage, summary, help }: Command): string {
  return `Usage: ${`jetledger ${name} ${usage}`.trim()}\n\n${summary}\n\n${help}`;
}
