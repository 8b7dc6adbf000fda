import { stringify } from 'yaml';
import { maskSecrets } from '../platform/config/mask.ts';
import type { Command } from './command.ts';

export const configCommand: Command = {
  name: 'config',
  usage: '[--json]',
  summary: 'Print the effective configuration, secrets masked.',
  help: `Examples:
  jetledger config
  JETLEDGER_ENV=production jetledger config --json`,
  run: async (args, { config, print }) => {
    const shown = maskSecrets(config());
    print(args.includes('--json') ? JSON.stringify(shown, null, 2) : stringify(shown).trimEnd());
    return 0;
  },
};
