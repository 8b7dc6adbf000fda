import { readdirSync } from 'node:fs';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import fc from 'fast-check';
import type { FastifyInstance, InjectOptions, LightMyRequestResponse } from 'fastify';
import { expect, it } from 'vitest';
import { type MemoryService, memoryService } from '../support/memory-service.ts';
import { documentOf, type OpenApi, routesOf } from './document.ts';
import { type FuzzRequest, type Known, requestTo } from './generators.ts';
import { plantConsumer, plantParked } from './planted.ts';
import { type Client, clientOf, confirmedOrder, list, ordered, registered } from './requests.ts';

const SEED = Number(process.env.FUZZ_SEED ?? 20260115);
const RUNS = Number(process.env.FUZZ_RUNS ?? 200);
const TOTAL_MS = 9_000;
const MORE_ROUNDS = 20;

it('nothing a client sends is a 500, and every answer is one that the document declares', async () => {
  console.info(`fuzz: FUZZ_SEED=${SEED} FUZZ_RUNS=${RUNS} (per operation)`);
  await using service = await memoryService();
  await plantConsumer(service, 'order-process');
  const client = clientOf(service);
  const document = await documentOf(service.app);
  const verify = verifierOf(document);
  const routes = routesOf(document);
  const end = performance.now() + TOTAL_MS;
  for (const [index, route] of routes.entries()) {
    const known = await freshEntities(service, client, index);
    const seen = new Set<string>();
    const property = fc.asyncProperty(requestTo(document, route, known), async (request) => {
      const { url, headers, payload } = request;
      const method = route.method as 'GET';
      const sent = { method, url, headers, ...(payload !== undefined && { payload }) };
      const response = await answerOf(service.app, sent);
      seen.add(`${String(response.statusCode)[0]}xx`);
      verify(request, response);
    });
    const share = (end - performance.now()) / (routes.length - index);
    const bound = { interruptAfterTimeLimit: Math.max(100, share), markInterruptAsFailure: false };
    await fc.assert(property, { seed: SEED, numRuns: RUNS, ...bound });
    // On a busy machine the time is over before both kinds of answers were seen; more of it is better than none.
    for (let more = 1; more <= MORE_ROUNDS && !(seen.has('2xx') && seen.has('4xx')); more++) {
      await fc.assert(property, { seed: SEED + more, numRuns: 20 });
    }
    const cure = 'no request was made that succeeds, or none that is refused: see test/api/known/README.md';
    const said = `${route.operation.operationId}: ${cure}`;
    expect([...seen], said).toEqual(expect.arrayContaining(['2xx', '4xx']));
  }
}, 60_000);

type Answer = Pick<LightMyRequestResponse, 'statusCode' | 'headers' | 'body'>;

const STREAM = 'text/event-stream';

/** The whole answer; of a stream, which never ends, only its head. */
async function answerOf(app: FastifyInstance, request: InjectOptions): Promise<Answer> {
  // Only there can a stream be; reading an answer as one costs time.
  if (request.method !== 'GET' || !/^\/v1\/.*stream/.test(String(request.url))) return app.inject(request);
  const response = await app.inject({ ...request, payloadAsStream: true });
  const { statusCode, headers } = response;
  if (String(headers['content-type']).startsWith(STREAM)) {
    response.raw.res.destroy();
    return { statusCode, headers, body: '' };
  }
  const chunks: Buffer[] = [];
  for await (const chunk of response.stream()) chunks.push(Buffer.from(chunk));
  return { statusCode, headers, body: Buffer.concat(chunks).toString('utf8') };
}

/** What earlier operations cannot have deactivated or discontinued. */
async function freshEntities(service: MemoryService, client: Client, index: number): Promise<Known> {
  const skus = [`TEA-${index}`, `CUP-${index}`, `SAKE-${index}`] as const;
  await list(client, skus[0]);
  await list(client, skus[1], { amountMinor: 1e12, currency: 'EUR' });
  await list(client, skus[2], { amountMinor: 500, currency: 'JPY' });
  const userId = await registered(client, `fuzz-${index}@example.com`);
  const ids = [userId, await ordered(client, userId, skus[0])];
  // Two that are confirmed, since one may be cancelled, and one that is shipped.
  for (let i = 0; i < 3; i++) ids.push(await confirmedOrder(service, client, userId, skus[0]));
  await client.post(`/v1/orders/${ids.at(-1)}/ship`);
  for (const id of ids) await plantParked(service, { id });
  return { ids, skus, more: await moreKnown(client, index) };
}

const KNOWN = new URL('./known/', import.meta.url);

/** What each file of `known/` makes for an operation, so that a new aggregate brings its own. */
async function moreKnown(client: Client, index: number): Promise<Known['more']> {
  const files = readdirSync(KNOWN).filter((name) => name.endsWith('.ts'));
  const made = files.map(async (file) => {
    const { known } = (await import(`./known/${file}`)) as {
      known: (client: Client, index: number) => Promise<Known['more']>;
    };
    return known(client, index);
  });
  return Object.assign({}, ...(await Promise.all(made))) as Known['more'];
}

/** Throws unless an answer is one that its operation declares, with the declared type and body. */
function verifierOf(document: OpenApi) {
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  addFormats.default(ajv);
  ajv.addSchema({ $id: 'doc', components: document.components });
  const validators = new Map<string, ValidateFunction>();
  const validatorOf = (schema: object): ValidateFunction => {
    const text = JSON.stringify(schema).replaceAll('"#/components/', '"doc#/components/');
    const validator = validators.get(text) ?? ajv.compile(JSON.parse(text));
    validators.set(text, validator);
    return validator;
  };
  const operations = routesOf(document).map(({ operation }) => operation);

  return (request: FuzzRequest, response: Answer): void => {
    const shown = `${request.route.method} ${request.url} -> ${response.statusCode} ${response.body.slice(0, 500)}`;
    expect(response.statusCode, shown).not.toBe(500);
    if (response.statusCode === 304) {
      expect(response.body, shown).toBe('');
      expect(request.route.operation.responses, shown).toHaveProperty('304');
      return;
    }
    const type = String(response.headers['content-type']).split(';', 1)[0] ?? '';
    const body: unknown = type === STREAM ? response.body : JSON.parse(response.body);
    const fits = ({ responses }: (typeof operations)[number]) => {
      const schema = responses[response.statusCode]?.content?.[type]?.schema;
      return schema !== undefined && validatorOf(schema)(body);
    };
    // A path that was tampered with can be another operation's or nobody's.
    const { code = '' } = body as { code?: string };
    if (request.oddPath && (code.startsWith('route/') || operations.some(fits))) return;
    expect(fits(request.route.operation), `not declared: ${type}, ${shown}`).toBe(true);
  };
}
