import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import fc from 'fast-check';
import type { LightMyRequestResponse } from 'fastify';
import { expect, it } from 'vitest';
import { memoryService } from '../support/memory-service.ts';
import { documentOf, type OpenApi, type Route, routesOf } from './document.ts';
import { type FuzzRequest, requestTo } from './generators.ts';
import { clientOf, list, ordered, registered } from './requests.ts';

const SEED = Number(process.env.FUZZ_SEED ?? 20260115);
const RUNS = Number(process.env.FUZZ_RUNS ?? 150);
const TOTAL_MS = 9_000;

it('nothing a client sends is a 500, and every answer is one that the document declares', async () => {
  console.info(`fuzz: FUZZ_SEED=${SEED} FUZZ_RUNS=${RUNS} (per operation)`);
  await using service = await memoryService();
  const client = clientOf(service);
  await list(client, 'TEA');
  await list(client, 'CUP', { amountMinor: 1e12, currency: 'EUR' });
  await list(client, 'SAKE', { amountMinor: 500, currency: 'JPY' });
  const userId = await registered(client);
  const orderId = await ordered(client, userId, 'TEA');
  const known = { ids: [userId, orderId], skus: ['TEA', 'CUP', 'SAKE'] };

  const document = await documentOf(service.app);
  const verify = verifierOf(document);
  const routes = routesOf(document);
  const end = performance.now() + TOTAL_MS;
  for (const [index, route] of routes.entries()) {
    const seen = new Set<string>();
    const property = fc.asyncProperty(requestTo(route, known), async (request) => {
      const { method, operation } = route;
      const { url, headers, payload } = request;
      const response = await service.app.inject({
        method: method as 'GET',
        url,
        headers,
        ...(payload !== undefined && { payload }),
      });
      seen.add(String(response.statusCode)[0] ?? '');
      verify(request, response, operation);
    });
    const interruptAfterTimeLimit = Math.max(100, (end - performance.now()) / (routes.length - index));
    await fc.assert(property, {
      seed: SEED,
      numRuns: RUNS,
      interruptAfterTimeLimit,
      markInterruptAsFailure: false,
    });
    expect([...seen].sort(), route.operation.operationId).toEqual(expect.arrayContaining(['2', '4']));
  }
}, 30_000);

function verifierOf(document: OpenApi) {
  const ajv = new Ajv2020({ strict: false, validateFormats: true, allErrors: true });
  addFormats.default(ajv);
  ajv.addSchema({ $id: 'doc', components: document.components });
  const validators = new Map<string, ValidateFunction>();
  const validatorOf = (schema: object): ValidateFunction => {
    const text = JSON.stringify(schema).replaceAll('"#/components/', '"doc#/components/');
    const validator = validators.get(text) ?? ajv.compile(JSON.parse(text));
    validators.set(text, validator);
    return validator;
  };

  return (request: FuzzRequest, response: LightMyRequestResponse, operation: Route['operation']): void => {
    const shown = `${request.route.method} ${request.url} -> ${response.statusCode} ${response.body.slice(0, 500)}`;
    expect(response.statusCode, shown).not.toBe(500);
    const body: unknown = JSON.parse(response.body);
    const { code } = body as { code?: unknown };
    if (request.oddPath && typeof code === 'string' && code.startsWith('route/')) return;
    const declared = operation.responses[response.statusCode];
    expect(declared, `undeclared status: ${shown}`).toBeDefined();
    const type = String(response.headers['content-type']).split(';', 1)[0] ?? '';
    const media = declared?.content?.[type];
    expect(media, `undeclared content type ${type}: ${shown}`).toBeDefined();
    const validate = validatorOf(media?.schema ?? {});
    expect(validate(body), `${JSON.stringify(validate.errors)}: ${shown}`).toBe(true);
  };
}
