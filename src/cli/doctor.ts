import { parseArgs } from 'node:util';
import { managerOf, reasonOf } from '../eventstore/index.ts';
import { ConfigError } from '../platform/config/errors.ts';
import { type Config, hasRole } from '../platform/config/schema.ts';
import type { Nats } from '../service/open.ts';
import { quietLog, withNats } from '../service/with-nats.ts';
import type { Command, CommandContext } from './command.ts';
import { type Check, type Finding, fail, ok, runChecks, skip } from './doctor/checks.ts';
import { collectors } from './doctor/collectors.ts';
import { answerFindings, permissionFindings, probeAll } from './doctor/permissions.ts';
import { keysFinding, shareFinding } from './doctor/personal.ts';
import { consumerFindings, timerFinding, viewFindings } from './doctor/progress.ts';
import {
  clocks,
  disk,
  durability,
  health,
  jetStream,
  replicas,
  serversEnough,
  serverVersion,
} from './doctor/server.ts';
import { emailKey, foreignMessages, groups, logStream, topology } from './doctor/stored.ts';
import { isExpected } from './expected-errors.ts';
import { paint } from './terminal.ts';

/** @param now the clock that the servers' are compared with, in milliseconds since the Unix epoch */
export function createDoctor(now: () => number): Command {
  return {
    name: 'doctor',
    usage: '[--fix] [--json]',
    summary: 'Check server, configuration and state, and say what to do.',
    help: `Checks, in the order of what rests on what, and changes nothing: Node.js, configuration, collectors, server,
permissions (with requests that cannot store anything), JetStream, disk, the log, the e-mail key, the keys of persons and
how much of their data is plain, foreign messages, streams and buckets, clocks, durability, replicas, groups, views,
consumers and timers. The first line names the cause and its cure; what only follows from it is told as that, and not
looked at. Each further line says ok, warn, fail or skip.

  --fix    do what can lose nothing: topology apply, and the rebuild of a view whose bucket is gone; then look again
  --json   print the findings as JSON

Exit code 1 when somebody has to do something; warnings alone leave it at 0.

Examples:
  jetledger doctor
  jetledger doctor --fix
  NATS_URL=nats://localhost:4222 JETLEDGER_ENV=production jetledger doctor --json`,
    run: async (args, context) => {
      const options = {
        fix: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
      } as const;
      const { values } = parseArgs({ args: [...args], options });
      const fixed: string[] = [];
      let findings = await examine(context, now);
      while (values.fix && (await fixOne(findings, fixed, context))) findings = await examine(context, now);
      const failed = findings.some(({ level }) => level === 'fail');
      if (values.json) context.print(JSON.stringify({ ok: !failed, fixed, findings }, null, 2));
      else for (const line of linesOf(findings, fixed)) context.print(line);
      return failed ? 1 : 0;
    },
  };
}

export const doctorCommand = createDoctor(Date.now);

/** Does what the first finding names that has not been tried; false when there is none. */
async function fixOne(
  findings: readonly Finding[],
  fixed: string[],
  context: CommandContext,
): Promise<boolean> {
  const open = findings.flatMap(({ fix }) => (fix === undefined ? [] : [fix]));
  const next = open.find((fix) => !fixed.includes(fix.join(' ')));
  if (next === undefined) return false;
  const [name, argument] = next;
  fixed.push(next.join(' '));
  const command =
    name === 'topology'
      ? (await import('./topology.ts')).topologyCommand
      : (await import('./rebuild.ts')).rebuildCommand;
  try {
    // What it would print is told by the findings that follow.
    await command.run([argument, '--json'], { ...context, print: () => undefined });
  } catch (error) {
    // The next look finds it still open.
    if (!isExpected(error)) throw error;
  }
  return true;
}

const NODE_MAJOR = 20;
const NODE_MINOR = 19;

async function examine(context: CommandContext, now: () => number): Promise<readonly Finding[]> {
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
  const told = collectors(config);
  try {
    const found = await withNats(config, async (nats) => runChecks(await checksOf(config, nats, now)));
    return [...first, ...found, ...(await told)];
  } catch (error) {
    if (!isExpected(error)) throw error;
    // Its message says what to do.
    const away: Finding = { check: 'server', level: 'fail', detail: reasonOf(error) };
    return [...first, away, skip('all that is stored', 'server'), ...(await told)];
  }
}

/** @param version for example `20.19.0` */
function nodeVersion(version: string): Finding {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const isEnough = major > NODE_MAJOR || (major === NODE_MAJOR && minor >= NODE_MINOR);
  if (isEnough) return ok('node', version);
  return fail('node', version, `Install Node.js ${NODE_MAJOR}.${NODE_MINOR} or later.`);
}

/** What is looked at on a server, each after what it rests on. */
async function checksOf(config: Config, nats: Nats, now: () => number): Promise<readonly Check[]> {
  const jsm = await managerOf(nats.requests);
  const info = () => jsm.streams.info(config.log.stream);
  const log = once(() => quietLog(config, nats));
  const probed = once(() => probeAll(config, nats));
  const check = (name: string, restsOn: readonly string[], advice: string, look: Check['look']): Check => ({
    name,
    restsOn,
    advice,
    look,
  });
  const sound = ['topology', 'e-mail key', 'groups', 'answers', 'disk full'];
  const status = 'Run jetledger status as the operator, and look at the log of the NATS server.';
  const server = 'Look at the NATS server and its log.';
  const reacts = hasRole(config, 'processes');
  return [
    check('server', [], server, () => serverVersion(nats)),
    check('permissions', [], server, async () => permissionFindings(await probed(), nats)),
    check('jetstream', [], server, () => jetStream(nats, jsm)),
    check('health', ['jetstream'], server, () => health(nats)),
    check('disk', ['jetstream', 'health'], server, () => disk(nats, jsm)),
    check('servers', ['jetstream', 'health'], server, () => serversEnough(config, nats)),
    check('log', ['jetstream', 'servers'], server, () => logStream(config, nats, jsm)),
    check('e-mail key', ['log'], server, async () => emailKey(await info(), nats)),
    ...(reacts || hasRole(config, 'api')
      ? [
          check('keys of persons', ['e-mail key'], server, async () =>
            keysFinding(config, nats, await info()),
          ),
        ]
      : []),
    check('personal data', ['e-mail key'], server, async () =>
      shareFinding(config, await log(), await info()),
    ),
    check('foreign messages', ['e-mail key'], server, async () => foreignMessages(config, nats, await log())),
    check('topology', ['e-mail key'], 'Run: jetledger topology plan', async () =>
      topology(config, nats, (await info()).state.last_seq),
    ),
    check('answers', ['log'], server, async () => answerFindings(await probed())),
    check('durability', ['log'], server, async () =>
      durability(config, nats, (await info()).config.num_replicas),
    ),
    check('replicas', ['log'], server, async () => replicas(config, await info())),
    check('clock', ['log'], server, () => clocks(nats, info, now)),
    ...(reacts ? [check('groups', ['topology'], status, () => groups(config, nats))] : []),
    check('views', sound, status, async () => viewFindings(config, nats, await log())),
    check('consumers', sound, status, async () => consumerFindings(config, nats, await log())),
    check('timers', sound, status, async () => timerFinding(config, nats, await log())),
  ];
}

function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

const COLOURS = { ok: 'green', warn: 'yellow', fail: 'red', skip: 'dim' } as const;

/** The cause first, with its cure; then what was done, and every finding. */
function linesOf(findings: readonly Finding[], fixed: readonly string[]): readonly string[] {
  const [cause, ...more] = findings.filter(({ level }) => level === 'fail');
  return [
    ...(cause === undefined ? [] : causeLines(cause, more.length)),
    ...fixed.map((command) => `done  jetledger ${command}`),
    ...findings.flatMap(({ check, level, detail, advice }) => {
      const line = `${paint(COLOURS[level], level.padEnd(4))}  ${check.padEnd(24)} ${detail}`;
      return advice === undefined ? [line] : [line, `      ${''.padEnd(24)} -> ${advice}`];
    }),
  ];
}

function causeLines({ check, detail, advice }: Finding, more: number): readonly string[] {
  const line = `${check}: ${detail}${advice === undefined ? '' : ` -> ${advice}`}`;
  const rest = more === 0 ? [] : [`(and ${more} more that fail${more === 1 ? 's' : ''}, below)`];
  return [paint('red', line), ...rest, ''];
}
