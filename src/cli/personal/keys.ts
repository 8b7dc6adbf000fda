import { parseArgs } from 'node:util';
import { type KeysStatus, keysStatus, rotateKeys } from '../../service/personal/keys.ts';
import { withNats } from '../../service/with-nats.ts';
import { type Command, UsageError } from '../command.ts';

export const keysCommand: Command = {
  name: 'keys',
  usage: 'status | rotate [--json]',
  summary: 'See what the keys of persons are wrapped with; wrap them with a new master key.',
  help: `status    how many keys there are, by the master key that wraps them
rotate    wraps each key with the first of privacy.masterKeys, where another one wraps it; the others must be given, too.
          Nothing in the log changes, and the service may run. May be repeated

Master keys are named by a digest, which tells nothing of them. rotate needs a NATS user that may write the bucket of
the keys: that of the role api, or the owner's. docs/privacy.md says the steps.

  --json  print JSON

Exit code 1 when keys are wrapped with a master key that was not given: what they seal cannot be read. Those that
privacy.lostMasterKeys names do not count.

Examples:
  jetledger keys status
  JETLEDGER_PRIVACY__MASTER_KEYS=$NEW,$FORMER jetledger keys rotate`,
  run: async (args, { config, print }) => {
    const options = { json: { type: 'boolean', default: false } } as const;
    const { positionals, values } = parseArgs({ args: [...args], allowPositionals: true, options });
    const [action, ...rest] = positionals;
    if ((action !== 'status' && action !== 'rotate') || rest.length > 0)
      throw new UsageError('Write it like this: jetledger keys status, or jetledger keys rotate');
    return withNats(config(), async (nats) => {
      const rotated = action === 'rotate' ? await rotateKeys(config(), nats) : undefined;
      const status = await keysStatus(config(), nats);
      if (values.json) print(JSON.stringify({ ...rotated, ...status }, null, 2));
      else {
        if (rotated !== undefined)
          print(`${rotated.rewrapped} wrapped anew, ${rotated.kept} were so before.`);
        for (const line of linesOf(status)) print(line);
      }
      return status.missing.length > 0 ? 1 : 0;
    });
  },
};

function linesOf({ byMaster, forgotten, current, missing, lost }: KeysStatus): readonly string[] {
  const role = (name: string): string => {
    if (name === current) return 'the one that wraps';
    if (lost.includes(name)) return 'gone for good';
    return missing.includes(name) ? 'NOT among those given' : 'a former one';
  };
  const lines = Object.entries(byMaster).map(([name, count]) => `${name}  ${count} keys  ${role(name)}`);
  if (current === undefined) lines.push('No master key was given (privacy.masterKeys).');
  else if (byMaster[current] === undefined) lines.push(`${current}  0 keys  the one that wraps`);
  return forgotten === 0 ? lines : [...lines, `${forgotten} persons were forgotten.`];
}
