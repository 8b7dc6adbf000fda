import { type ChildProcess, spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { exportSPKI } from 'jose';
import { systemRuntime } from '../../src/eventstore/index.ts';
import { createSimulatedProvider } from '../../src/processes/payment/adapters/simulated.ts';
import { createMemoryBucket } from '../../src/testing/memory-bucket.ts';
import { until } from '../../src/testing/until.ts';
import { AUDIENCE, bearer, ISSUER, signingKey, tokenOf } from '../api/tokens.ts';
import { paymentApi, startHttpServer } from '../contract/payment-server.ts';
import { makeSecrets, type NatsRole, startSecuredServer } from '../support/secured-nats.ts';
import { type Copy, type Done, plainEnvironment } from './add-an-aggregate.ts';
import { succeed } from './contributing.ts';

const ROLES = { api: 'api', projector: 'projections', processor: 'processes' } as const;
const START_MS = 60_000;

/** The service of a copy in production configuration: a process and a NATS user for each role. */
export interface Production extends AsyncDisposable {
  /** Of the process that answers requests. */
  readonly url: string;
  /** A token that may do everything. */
  readonly headers: Readonly<Record<string, string>>;
  keyed(key: string): Record<string, string>;
  /** `jetledger verify --live`, as the operator. */
  verify(): Promise<Done>;
  /** What the NATS server had to refuse. */
  violations(): Promise<string[]>;
}

type Cleanup = () => PromiseLike<void>;

/** Starts nats-server with the copy's files, makes the topology and starts a process for each role. */
export async function inProduction(copy: Copy): Promise<Production> {
  const cleanups: Cleanup[] = [];
  const use = <T extends AsyncDisposable>(one: T): T => {
    cleanups.unshift(() => one[Symbol.asyncDispose]());
    return one;
  };
  const dispose = async (): Promise<void> => {
    for (const cleanup of cleanups) await cleanup();
  };
  try {
    await succeed(copy, 'node configs/program.mjs dist');
    const secrets = use(await makeSecrets());
    const dir = join(copy.root, 'configs/nats');
    const server = use(await startSecuredServer('server.conf', secrets, { dir }));
    const provider = createSimulatedProvider({
      bucket: createMemoryBucket('provider'),
      runtime: systemRuntime,
    });
    const payment = use(await startHttpServer(paymentApi(provider, 'provider-key')));
    const issuer = await signingKey('k1');
    const keyFile = join(secrets.folder, 'issuer.pem');
    await writeFile(keyFile, await exportSPKI(issuer.publicKey));
    const variables = {
      ...plainEnvironment(),
      JETLEDGER_ENV: 'production',
      NATS_URL: server.url,
      JETLEDGER_NATS__MONITOR_URLS: server.monitorUrl,
      JETLEDGER_HTTP__HOST: '127.0.0.1',
      JETLEDGER_HTTP__PORT: '0',
      // Beside other tests a process is starved now and then, which is not what is looked at here.
      JETLEDGER_HTTP__OVERLOAD__MAX_EVENT_LOOP_DELAY_MS: '0',
      JETLEDGER_SERVICE__DRAIN_MS: '0',
      JETLEDGER_USERS__EMAIL_KEY: 'a1'.repeat(32),
      JETLEDGER_PRIVACY__MASTER_KEYS: 'b2'.repeat(32),
      JETLEDGER_AUTH__KEY_FILE: keyFile,
      JETLEDGER_AUTH__ISSUER: ISSUER,
      JETLEDGER_AUTH__AUDIENCE: AUDIENCE,
      JETLEDGER_PAYMENT__URL: payment.url,
      JETLEDGER_PAYMENT__API_KEY: 'provider-key',
    };
    const as = (role: NatsRole, ...args: string[]) =>
      start(copy, { ...variables, ...secrets.variablesOf(role) }, args);
    const finished = async (role: NatsRole, ...args: string[]): Promise<Done> => {
      const { ended, output } = as(role, ...args);
      return { code: await ended, output: output() };
    };
    const topology = await finished('owner', 'topology', 'apply');
    if (topology.code !== 0) throw new Error(`no topology was made:\n${topology.output}`);
    const roles = Object.entries(ROLES) as [NatsRole, string][];
    const [url = ''] = await Promise.all(
      roles.map(([role, name]) => serving(as(role, 'serve', '--roles', name), cleanups)),
    );
    const [iat, sub] = [Math.floor(Date.now() / 1_000), 'operator'];
    const headers = bearer(await tokenOf(issuer, { sub, scope: 'admin', iat, exp: iat + 3_600 }));
    return {
      url,
      headers,
      keyed: (key) => ({ ...headers, 'idempotency-key': key.slice(0, 128) }),
      verify: () => finished('operator', 'verify', '--live'),
      violations: async () => (await server.log()).split('\n').filter((line) => /violation/i.test(line)),
      [Symbol.asyncDispose]: dispose,
    };
  } catch (error) {
    await dispose();
    throw error;
  }
}

interface Started {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  readonly output: () => string;
}

function start(copy: Copy, env: Record<string, string>, args: readonly string[]): Started {
  // The end of the pipe reaches the child also when this process is killed.
  const follow =
    'data:text/javascript,process.stdin.on("end",()=>process.kill(process.pid,"SIGKILL")).resume().unref()';
  const program = ['--import', follow, 'dist/cli/jetledger.js', ...args];
  const child = spawn(process.execPath, program, { cwd: copy.root, env, stdio: 'pipe' });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  return { child, ended, output: () => output };
}

/** Waits until a process is ready, and answers its address. */
async function serving({ child, ended, output }: Started, cleanups: Cleanup[]): Promise<string> {
  cleanups.unshift(async () => {
    child.kill('SIGTERM');
    await ended;
  });
  let url = '';
  const ready = async (): Promise<boolean> => {
    if (child.exitCode !== null) return true;
    url ||= /JetLedger answers at (http:\S+?),? /.exec(output())?.[1] ?? '';
    return url !== '' && (await fetch(`${url}/health/ready`)).ok;
  };
  try {
    await until('it is ready', ready, START_MS);
  } catch (cause) {
    throw new Error(`it is not ready:\n${output()}`, { cause });
  }
  if (child.exitCode !== null) throw new Error(`it refused to start:\n${output()}`);
  return url;
}
