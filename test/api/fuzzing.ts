import { readdirSync } from 'node:fs';
import { ROOT_CONTEXT, SpanKind, trace } from '@opentelemetry/api';
import { BasicTracerProvider } from '@opentelemetry/sdk-trace-base';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import fc from 'fast-check';
import type { FastifyInstance, InjectOptions, LightMyRequestResponse } from 'fastify';
import { createKeptTraces, type KeptTraces } from '../../src/platform/telemetry/kept-traces.ts';
import { createMemoryKeys } from '../support/memory-keys.ts';
import { type MemoryService, memoryService } from '../support/memory-service.ts';
import { documentOf, type OpenApi, type Route, routesOf } from './document.ts';
import { type FuzzRequest, type Known, requestTo } from './generators.ts';
import { plantConsumer, plantParked } from './planted.ts';
import { type Client, clientOf, confirmedOrder, list, ordered, registered } from './requests.ts';

/** The message of what is wrong with an answer begins with this when it is a 500. */
export const INTERNAL = '500';

/** Made-up requests to one operation of a service. */
export interface FuzzedOperation {
  readonly operationId: string;
  /** How many answers were seen, by status. */
  readonly seen: ReadonlyMap<number, number>;
  /** Makes and judges requests. @throws Error with the smallest request that is answered wrongly */
  run(options: { seed: number; runs: number; ms?: number }): Promise<void>;
}

/** All operations of a service that is made for it, one after the other. */
export async function* fuzzedOperations(): AsyncGenerator<FuzzedOperation & { readonly left: number }> {
  await using service = await memoryService({ personal: createMemoryKeys().personal, traces: oneTrace() });
  await plantConsumer(service, 'order-process');
  const client = clientOf(service);
  const document = await documentOf(service.app);
  const verify = verifierOf(document);
  const routes = routesOf(document);
  for (const [index, route] of routes.entries()) {
    const known = await freshEntities(service, client, index);
    yield { ...fuzzed(service, document, route, { known, verify }), left: routes.length - index };
  }
}

/** The trace that the examples name. */
function oneTrace(): KeptTraces {
  const kept = createKeptTraces({ traces: 1 });
  const provider = new BasicTracerProvider({ spanProcessors: [kept.processor] });
  const caller = { traceId: '4bf92f3577b34da6a3ce929d0e0e4736', spanId: '00f067aa0ba902b7', traceFlags: 1 };
  const options = { kind: SpanKind.SERVER };
  provider
    .getTracer('fuzz')
    .startSpan('POST /v1/orders', options, trace.setSpanContext(ROOT_CONTEXT, caller))
    .end();
  return kept;
}

function fuzzed(
  service: MemoryService,
  document: OpenApi,
  route: Route,
  { known, verify }: { known: Known; verify: ReturnType<typeof verifierOf> },
): FuzzedOperation {
  const seen = new Map<number, number>();
  const property = fc.asyncProperty(requestTo(document, route, known), async (request) => {
    const { url, headers, payload } = request;
    const method = route.method as 'GET';
    const sent = { method, url, headers, ...(payload !== undefined && { payload }) };
    const response = await answerOf(service.app, sent);
    seen.set(response.statusCode, (seen.get(response.statusCode) ?? 0) + 1);
    verify(request, response);
  });
  return {
    operationId: route.operation.operationId,
    seen,
    run: ({ seed, runs, ms }) =>
      fc.assert(property, {
        seed,
        numRuns: runs,
        ...(ms !== undefined && { interruptAfterTimeLimit: ms, markInterruptAsFailure: false }),
      }),
  };
}

type Answer = Pick<LightMyRequestResponse, 'statusCode' | 'headers' | 'body'>;

const STREAM = 'text/event-stream';

/** The whole answer; of a stream, which never ends, only its head. */
async function answerOf(app: FastifyInstance, request: InjectOptions): Promise<Answer> {
  // Only there can a stream be; reading an answer as one costs time.
  if (request.method !== 'GET' || !/^\/v1\/.*(stream|live|admin\/log)/.test(String(request.url)))
    return app.inject(request);
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
  const all: Record<string, readonly string[]> = {};
  for (const known of await Promise.all(made))
    for (const [name, values] of Object.entries(known)) all[name] = [...(all[name] ?? []), ...values];
  return all;
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
    if (response.statusCode === 500) throw new Error(`${INTERNAL}: ${shown}`);
    if (response.statusCode === 304) {
      if (response.body === '' && '304' in request.route.operation.responses) return;
      throw new Error(`undeclared: ${shown}`);
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
    if (!fits(request.route.operation)) throw new Error(`undeclared: ${type}, ${shown}`);
  };
}
