import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { createLocalJWKSet } from 'jose';
import openapiTS, { astToString } from 'openapi-typescript';
import ts from 'typescript';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createTokenVerifier } from '../../src/platform/tokens.ts';
import { type MemoryService, memoryService } from '../support/memory-service.ts';
import { jwkSetOf, NOW, type SigningKey, signingKey, tokenOf, VERIFIER } from './tokens.ts';

// Inside the project, so that the client's packages are found, and where nothing is checked in.
const CACHE = fileURLToPath(new URL('../../node_modules/.cache/jetledger-client', import.meta.url));

const GENERATOR = fileURLToPath(
  new URL('../../node_modules/@hey-api/openapi-ts/bin/run.js', import.meta.url),
);
const run = promisify(execFile);

let service: MemoryService;
let key: SigningKey;
let folder: string;
let url: string;

beforeAll(async () => {
  key = await signingKey('k1');
  const keys = createLocalJWKSet(await jwkSetOf(key));
  const auth = createTokenVerifier(VERIFIER, { keys, now: () => new Date(NOW * 1_000) });
  service = await memoryService({ override: { auth } });
  await mkdir(CACHE, { recursive: true });
  folder = await mkdtemp(join(CACHE, 'run-'));
  url = await service.app.listen({ host: '127.0.0.1', port: 0 });
  const document = (await service.app.inject('/openapi.json')).body;
  await writeFile(join(folder, 'package.json'), '{"type":"module"}');
  await writeFile(join(folder, 'schema.ts'), astToString(await openapiTS(document)));
});
afterAll(async () => {
  await service[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

/** What the compiler says against a source in the folder. */
function faultsOf(source: string, resolution: 'nodenext' | 'bundler'): { messages: string[]; emit(): void } {
  const { ModuleKind, ModuleResolutionKind, ScriptTarget } = ts;
  const program = ts.createProgram([join(folder, source)], {
    strict: true,
    exactOptionalPropertyTypes: resolution === 'nodenext',
    noUncheckedIndexedAccess: resolution === 'nodenext',
    target: ScriptTarget.ES2023,
    ...(resolution === 'nodenext'
      ? { module: ModuleKind.NodeNext, moduleResolution: ModuleResolutionKind.NodeNext }
      : { module: ModuleKind.ESNext, moduleResolution: ModuleResolutionKind.Bundler }),
    lib: ['lib.es2023.d.ts', 'lib.dom.d.ts', 'lib.dom.iterable.d.ts'],
    types: [],
    skipLibCheck: true,
    outDir: folder,
  });
  const found = ts.getPreEmitDiagnostics(program);
  const messages = found.map(({ messageText, file }) => {
    const text = ts.flattenDiagnosticMessageText(messageText, '\n');
    return `${file?.fileName.slice(folder.length)}: ${text}`;
  });
  return { messages, emit: () => program.emit() };
}

/** The code of a page behind the mark of an example. */
async function exampleIn(page: string, file: string): Promise<string> {
  const text = await readFile(new URL(`../../docs/${page}`, import.meta.url), 'utf8');
  return text.split(`<!-- example: ${file} -->\n\`\`\`ts\n`)[1]?.split('```')[0] ?? '';
}

it('a client with types that are made from the document compiles, and completes the tour', async () => {
  await writeFile(
    join(folder, 'tour.ts'),
    await readFile(new URL('./typed-tour.txt', import.meta.url), 'utf8'),
  );
  const { messages, emit } = faultsOf('tour.ts', 'nodenext');
  expect(messages).toEqual([]);
  emit();
  const { tour } = (await import(pathToFileURL(join(folder, 'tour.js')).href)) as {
    tour(url: string, token: string): Promise<string>;
  };
  const token = await tokenOf(key, { sub: 'ada', scope: 'users orders catalogue' });
  expect(await tour(url, token)).toBe('cancelled');
}, 60_000);

it('the client of the page compiles and does what it says', async () => {
  const source = await exampleIn('api.md', 'client.ts');
  await writeFile(join(folder, 'client.ts'), source);
  expect(source.trimEnd().split('\n').length).toBeLessThanOrEqual(40);
  const { messages, emit } = faultsOf('client.ts', 'nodenext');
  expect(messages).toEqual([]);
  emit();
  const { buy } = (await import(pathToFileURL(join(folder, 'client.js')).href)) as {
    buy(url: string, token: string, sku: string): Promise<string[]>;
  };
  const seller = { authorization: `Bearer ${await tokenOf(key, { sub: 'shop', scope: 'admin' })}` };
  const price = { amountMinor: 1290, currency: 'EUR' };
  const payload = { sku: 'CUP', name: 'Cup', price };
  await service.app.inject({ method: 'POST', url: '/v1/products', headers: seller, payload });
  const token = await tokenOf(key, { sub: 'bea', scope: 'users orders' });
  expect(await buy(url, token, 'CUP')).toEqual(['ordered for 2580 cents']);
  const other = await tokenOf(key, { sub: 'cleo', scope: 'users orders' });
  expect(await buy(url, other, 'CUP')).toEqual(['sign in instead']);
}, 60_000);

it('functions that another generator makes from the document compile, with the codes and the types of events', async () => {
  const document = join(folder, 'openapi.json');
  await writeFile(document, (await service.app.inject('/openapi.json')).body);
  const plugins = ['@hey-api/typescript', '@hey-api/sdk', '@hey-api/client-fetch'];
  const sdk = join(folder, 'sdk');
  await run(
    process.execPath,
    [GENERATOR, '-i', document, '-o', sdk, '-p', ...plugins, '--no-log-file', '-s'],
    {
      cwd: folder,
    },
  );
  await writeFile(join(folder, 'with-sdk.ts'), WITH_SDK);
  expect(faultsOf('with-sdk.ts', 'bundler').messages).toEqual([]);
}, 120_000);

const WITH_SDK = `
import { createOrder, createProduct, listOrderEvents, listProducts, type OrderEvent } from './sdk/index.js';

export async function order(userId: string): Promise<number | string> {
  const price = { amountMinor: 450, currency: 'EUR' };
  await createProduct({ body: { sku: 'TEA-1', name: 'Tea', price } });
  const products = await listProducts({ query: { limit: 10 } });
  const sku = products.data?.items[0]?.sku ?? 'TEA-1';
  const placed = await createOrder({ body: { userId, lines: [{ sku, quantity: 2 }] } });
  if (placed.error?.code === 'order/unknown-product') return placed.error.detail;
  // @ts-expect-error no answer to this has such a code
  if (placed.error?.code === 'order/unknown-produkt') return '';
  // @ts-expect-error a quantity is a number
  await createOrder({ body: { userId, lines: [{ sku, quantity: '2' }] } });
  const events = await listOrderEvents({ path: { id: placed.data?.id ?? '' }, query: { events: 'v2' } });
  const [first] = events.data?.items ?? [];
  return first === undefined || 'payload' in first ? 0 : amountOf(first);
}

function amountOf(event: OrderEvent): number {
  if (event.type === 'OrderPlaced') return event.data.total.amountMinor;
  // @ts-expect-error only some events have an amount
  return event.data.amount.amountMinor;
}
`;
