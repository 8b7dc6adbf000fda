import { parseArgs } from 'node:util';
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
    const { values } = parseArgs({ args: [...args], options: { json: { type: 'boolean', default: false } } });
    const shown = maskSecrets(config());
    print(values.json ? JSON.stringify(shown, null, 2) : stringify(shown).trimEnd());
    return 0;
  },
};
