import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { createLocalJWKSet } from 'jose';
import openapiTS, { astToString } from 'openapi-typescript';
import ts from 'typescript';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createTokenVerifier } from '../../src/platform/tokens.ts';
import { type MemoryService, memoryService } from '../support/memory-service.ts';
import { jwkSetOf, NOW, type SigningKey, signingKey, tokenOf, VERIFIER } from './tokens.ts';

// Inside the project, so that the client's packages are found, and where nothing is checked in.
const CACHE = fileURLToPath(new URL('../../node_modules/.cache/jetledger-client', import.meta.url));

let service: MemoryService;
let key: SigningKey;
let folder: string;

beforeAll(async () => {
  key = await signingKey('k1');
  const keys = createLocalJWKSet(await jwkSetOf(key));
  const auth = createTokenVerifier(VERIFIER, { keys, now: () => new Date(NOW * 1_000) });
  service = await memoryService({ override: { auth } });
  await mkdir(CACHE, { recursive: true });
  folder = await mkdtemp(join(CACHE, 'run-'));
});
afterAll(async () => {
  await service[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

it('a client with types that are made from the document compiles, and completes the tour', async () => {
  const document = (await service.app.inject('/openapi.json')).body;
  await writeFile(join(folder, 'package.json'), '{"type":"module"}');
  await writeFile(join(folder, 'schema.ts'), astToString(await openapiTS(document)));
  const source = join(folder, 'tour.ts');
  await writeFile(source, await readFile(new URL('./typed-tour.txt', import.meta.url), 'utf8'));

  const program = ts.createProgram([source], {
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    target: ts.ScriptTarget.ES2023,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    lib: ['lib.es2023.d.ts', 'lib.dom.d.ts', 'lib.dom.iterable.d.ts'],
    types: [],
    skipLibCheck: true,
    outDir: folder,
  });
  const found = ts.getPreEmitDiagnostics(program);
  const messages = found.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
  expect(messages).toEqual([]);
  program.emit();

  const url = await service.app.listen({ host: '127.0.0.1', port: 0 });
  const { tour } = (await import(pathToFileURL(join(folder, 'tour.js')).href)) as {
    tour(url: string, token: string): Promise<string>;
  };
  const token = await tokenOf(key, { sub: 'ada', scope: 'users orders catalogue' });
  expect(await tour(url, token)).toBe('cancelled');
}, 60_000);
