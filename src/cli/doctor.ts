import { parseArgs } from 'node:util';
import { reasonOf } from '../eventstore/index.ts';
import { ConfigError } from '../platform/config/errors.ts';
import type { Config } from '../platform/config/schema.ts';
import type { Nats } from '../service/open.ts';
import { quietLog, withNats } from '../service/with-nats.ts';
import type { Command, CommandContext } from './command.ts';
import {
  type Finding,
  fail,
  guarded,
  ok,
  permissionChecks,
  progressChecks,
  serverChecks,
  topologyChecks,
} from './doctor-checks.ts';
import { isExpected } from './expected-errors.ts';

export const doctorCommand: Command = {
  name: 'doctor',
  usage: '[--json]',
  summary: 'Check server, configuration and state, and say what to do.',
  help: `Checks, and changes nothing: Node.js, configuration, server version and distance, clocks, durability, disk,
replicas, streams and buckets, the e-mail key, permissions (with requests that cannot store anything), views, consumers
and timers. Each line says ok, warn or fail; what is not ok says what to do.

  --json   print the findings as JSON

Exit code 1 when a check fails; warnings alone leave it at 0.

Examples:
  jetledger doctor
  NATS_URL=nats://localhost:4222 JETLEDGER_ENV=production jetledger doctor --json`,
  run: async (args, context) => {
    const { values } = parseArgs({ args: [...args], options: { json: { type: 'boolean', default: false } } });
    const findings = await examine(context);
    const failed = findings.some(({ level }) => level === 'fail');
    if (values.json) context.print(JSON.stringify({ ok: !failed, findings }, null, 2));
    else for (const line of findings.flatMap(linesOf)) context.print(line);
    return failed ? 1 : 0;
  },
};

const NODE_MAJOR = 20;
const NODE_MINOR = 19;

async function examine(context: CommandContext): Promise<readonly Finding[]> {
  const first = [nodeVersion(process.versions.node)];
  let config: Config;
  try {
    config = context.config();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return [
      ...first,
      fail('configuration', error.message, 'Set the keys that are named; see configs/default.yaml.'),
    ];
  }
  first.push(ok('configuration', `the environment is ${config.environment}`));
  try {
    return [...first, ...(await withNats(config, (nats) => examineServer(config, nats)))];
  } catch (error) {
    if (!isExpected(error)) throw error;
    return [...first, fail('server', reasonOf(error), 'Start it, or correct NATS_URL and its credentials.')];
  }
}

/** @param version for example `20.19.0` */
export function nodeVersion(version: string): Finding {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const isEnough = major > NODE_MAJOR || (major === NODE_MAJOR && minor >= NODE_MINOR);
  if (isEnough) return ok('node', version);
  return fail('node', version, `Install Node.js ${NODE_MAJOR}.${NODE_MINOR} or later.`);
}

async function examineServer(config: Config, nats: Nats): Promise<readonly Finding[]> {
  const advice = 'Create what is missing: jetledger topology apply';
  const findings = [...(await topologyChecks(config, nats))];
  findings.push(
    ...(await guarded('server', 'Look at the server and its log.', () => serverChecks(config, nats))),
  );
  findings.push(...(await permissionChecks(config, nats)));
  findings.push(
    ...(await guarded('progress', advice, async () =>
      progressChecks(config, nats, await quietLog(config, nats)),
    )),
  );
  return findings;
}

function linesOf({ check, level, detail, advice }: Finding): string[] {
  const line = `${level.padEnd(4)}  ${check.padEnd(24)} ${detail}`;
  return advice === undefined ? [line] : [line, `      ${''.padEnd(24)} -> ${advice}`];
}
