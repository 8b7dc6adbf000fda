import { execFile } from 'node:child_process';
import { cp, mkdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { makeNew } from '../../src/generator/new.ts';
import type { TestServer } from '../../src/testing/nats-server.ts';
import { packedKernel } from './kernel-package.ts';
import { linkPackages } from './link-packages.ts';
import { madeOf, readFiles } from './made-once.ts';
import type { LogNames } from './nats-log.ts';
import { type Running, startProgram } from './service-process.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const EXAMPLE = 'examples/fulfilment/src';
const CONTRACT = 'proto/jetledger/public/orders/v1/orders.proto';
/** Only ends what hangs. */
const COMMAND_MS = 240_000;

/** Its own log. */
export const FULFILMENT_LOG: LogNames = { stream: 'fulfilment', prefix: 'fulfilment' };

/** The second service, made, type-checked and built as examples/fulfilment/README.md says. @returns its program */
export async function builtFulfilment(): Promise<string> {
  const kernel = await packedKernel();
  const contract = await readFile(join(ROOT, CONTRACT), 'utf8');
  const folder = await madeOf(['fulfilment', kernel, await readFiles(EXAMPLE, '.ts'), contract], build);
  return join(folder, 'fulfilment/dist/main.js');
}

async function build(draft: string): Promise<void> {
  const service = join(draft, 'fulfilment');
  const run = (program: string, ...args: string[]) =>
    promisify(execFile)(program, args, { cwd: service, timeout: COMMAND_MS });
  makeNew(draft, { kind: 'service', name: 'fulfilment', aggregate: 'shipment' }, () => undefined);
  await cp(join(ROOT, EXAMPLE), join(service, 'src'), { recursive: true });
  await mkdir(dirname(join(service, CONTRACT)), { recursive: true });
  await cp(join(ROOT, CONTRACT), join(service, CONTRACT));
  await linkPackages(service);
  const kernel = join(service, 'node_modules/jetledger');
  await mkdir(kernel);
  await run('tar', 'xzf', 'vendor/jetledger.tgz', '-C', kernel, '--strip-components=1');
  await run('npm', 'run', '--silent', 'build');
}

/** Starts a process of it. @param packingMs how long it takes to pack an order */
export function startFulfilment(
  program: string,
  { url, monitorUrl }: Pick<TestServer, 'url' | 'monitorUrl'>,
  { shopUrl, packingMs }: { readonly shopUrl: string; readonly packingMs: number },
): Running {
  return startProgram([program], {
    ...{ NATS_URL: url, NATS_MONITOR_URLS: monitorUrl, NODE_ENV: 'development', PORT: '0' },
    ...{ SHOP_URL: shopUrl, PACKING_MS: String(packingMs), LOG_LEVEL: 'warn' },
  });
}
