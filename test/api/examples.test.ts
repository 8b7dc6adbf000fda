import { readdirSync } from 'node:fs';
import { beforeAll, expect, it } from 'vitest';
import { ORDER_ID, USER_ID } from '../../src/api/schemas/examples.ts';
import { parcels } from '../../src/api/schemas/webhook.ts';
import { createSkips } from '../../src/service/skips.ts';
import { createMemoryKeys } from '../support/memory-keys.ts';
import {
  fixedRuntime,
  type MemoryService,
  memoryService,
  TEST_EPOCH,
  TEST_PREFIX,
  TEST_SETTINGS,
} from '../support/memory-service.ts';
import { documentOf, type Route, routesOf } from './document.ts';
import { plantConsumer, plantParked } from './planted.ts';
import { confirm } from './requests.ts';

/** What has to have happened for the examples of an operation: other operations by their ids, and what nobody asks for. */
const REGISTERED = ['createUser'];
const STOCKED = ['createProduct', 'receiveStock'];
const PLACED = [...REGISTERED, ...STOCKED, 'createOrder'];
const CONFIRMED = [...PLACED, 'the order process'];
const BEFORE: Readonly<Record<string, readonly string[]>> = {
  createUser: [],
  createProduct: [],
  receiveStock: ['createProduct'],
  correctStock: STOCKED,
  updateProduct: ['createProduct'],
  createManyProducts: [],
  receiveManyReceipts: ['createProduct'],
  createOrder: [...REGISTERED, ...STOCKED],
  cancelOrder: PLACED,
  deliverOrder: [...CONFIRMED, 'shipOrder'],
  refundOrder: CONFIRMED,
  users: REGISTERED,
  products: STOCKED,
  orders: CONFIRMED,
  admin: ['a dead letter'],
  listSkipped: [...PLACED, 'a skip mark'],
  listOrderEvents: PLACED,
  listProductEvents: ['createProduct'],
  listOrdersOfUser: CONFIRMED,
  getStatistics: CONFIRMED,
};

const DEAD_LETTER = {
  id: ORDER_ID,
  lastAt: TEST_EPOCH,
  events: [{ type: 'jetledger.order.v1.OrderPlaced', schemaVersion: 1, payload: { userId: USER_ID } }],
  error: {
    name: 'Error',
    message: 'The payment provider answered 500.',
    stack: 'Error: The payment provider answered 500.',
  },
};

/** The ids that the document names, by the operation that makes them. */
const CREATED: Readonly<Record<string, string>> = {
  createUser: USER_ID,
  createOrder: ORDER_ID,
  createWebhook: parcels.id,
};

/** They show servers, views and what other processes do, none of which is in memory: `operators.test.ts` looks at those. */
const OF_OPERATORS = new Set([
  ...['listParkedCauses', 'findAggregates', 'getAggregate', 'listCommits', 'listViews', 'getSituation'],
  ...['listTraces', 'getTrace', 'getOrderFunnel'],
  ...['rebuildView', 'rollbackView', 'refoldRow', 'listRequests', 'getRequest', 'cancelRequest'],
  ...['listTimers', 'listPaymentsInDoubt', 'getNotifications', 'listWebhookSituations'],
  ...['listNotificationDeliveries', 'getBackups', 'getConfiguration'],
]);

let routes: Map<string, Route>;

beforeAll(async () => {
  await using service = await exampleService();
  const document = await documentOf(service.app);
  routes = new Map(routesOf(document).map((route) => [route.operation.operationId, route]));
});

/** What the files of `known/` say of their own operations, so that a new aggregate brings its examples. */
async function stepsBefore(): Promise<typeof BEFORE> {
  const files = readdirSync(new URL('./known/', import.meta.url)).filter((name) => name.endsWith('.ts'));
  const modules = await Promise.all(
    files.map((file) => import(`./known/${file}`) as Promise<{ before?: typeof BEFORE }>),
  );
  return Object.assign({}, BEFORE, ...modules.map(({ before }) => before)) as typeof BEFORE;
}

/** A service whose clock stands still at the time of the examples. */
function exampleService(log = { ok: true }): Promise<MemoryService> {
  const runtime = { ...fixedRuntime(), now: () => TEST_EPOCH };
  const asked = async () => ({ ok: log.ok, checks: { log } });
  const settings = { ...TEST_SETTINGS, version: '0.1.0', environment: 'production' };
  const { personal } = createMemoryKeys();
  return memoryService({
    runtime,
    personal,
    override: { settings, health: { ready: asked, startup: asked } },
  });
}

/** Marks the last commit as an operator of the examples does. */
async function mark({ log, buckets }: MemoryService): Promise<void> {
  const runtime = { ...fixedRuntime(), now: () => TEST_EPOCH };
  const skips = createSkips({ log, buckets, prefix: TEST_PREFIX, runtime });
  const reason = 'block 12 of the disk was lost';
  await skips.change({ position: await log.head(), reason, by: 'operator', undo: false });
}

/** Sends the examples of operations; what the service has named stands for what the document names. */
class Story {
  readonly #service: MemoryService;
  readonly #named = new Map<string, string>();
  constructor(service: MemoryService) {
    this.#service = service;
  }

  async happens(step: string): Promise<void> {
    if (step === 'the order process') return confirm(this.#service, this.#told(ORDER_ID));
    if (step === 'a dead letter') {
      await plantConsumer(this.#service, 'order-process');
      return plantParked(this.#service, DEAD_LETTER);
    }
    if (step === 'a skip mark') return mark(this.#service);
    const answer = await this.sends(step);
    expect([step, answer.status]).toEqual([step, expect.toBeOneOf([200, 201, 202])]);
  }

  async sends(operationId: string, accept = 'application/json'): Promise<{ status: number; body: unknown }> {
    const { method, path, operation } = routes.get(operationId) as Route;
    const given = (place: 'path' | 'query') =>
      (operation.parameters ?? [])
        .filter((parameter) => parameter.in === place && parameter.required)
        .map(({ name, example, schema }) => [name, String(example ?? schema.enum?.[0])] as const);
    const url = given('path').reduce((filled, [name, value]) => filled.replace(`{${name}}`, value), path);
    const query = new URLSearchParams(Object.fromEntries(given('query')));
    const body = operation.requestBody?.content?.['application/json']?.example;
    const response = await this.#service.app.inject({
      method: method as 'GET',
      url: this.#told(query.size > 0 ? `${url}?${query}` : url),
      headers: { accept, 'min-position': String(await this.#service.log.head()) },
      ...(body !== undefined && { payload: JSON.parse(this.#told(JSON.stringify(body))) as object }),
    });
    const documented = CREATED[operationId];
    if (documented !== undefined) this.#named.set(documented, response.json<{ id: string }>().id);
    return { status: response.statusCode, body: JSON.parse(this.#heard(response.body)) };
  }

  #told(text: string): string {
    return [...this.#named].reduce((told, [documented, actual]) => told.replaceAll(documented, actual), text);
  }

  #heard(text: string): string {
    return [...this.#named].reduce(
      (heard, [documented, actual]) => heard.replaceAll(actual, documented),
      text,
    );
  }
}

/** Where a log happens to be, and which request it was, is no part of an example. */
const PLACES = new Set(['version', 'position']);
const OWN = new Set(['correlationId', 'emailAttempt', 'secret', 'attempt', 'digest', 'nameDigests']);
function withoutPlaces(value: unknown): unknown {
  const text = JSON.stringify(value, (key, inner: unknown) =>
    (PLACES.has(key) && Number.isSafeInteger(inner) && Number(inner) > 0) || OWN.has(key)
      ? 'its own each time'
      : inner,
  );
  return JSON.parse(text);
}

it('each example of a request is answered with the example of its answer', async () => {
  const before = await stepsBefore();
  const [expected, found]: [unknown[], unknown[]] = [[], []];
  for (const [operationId, { operation }] of routes) {
    const good = Object.entries(operation.responses).find(([status]) => status < '300');
    const [status = '', answer] = good ?? [];
    for (const [type, { example }] of Object.entries(answer?.content ?? {})) {
      if (example === undefined || OF_OPERATORS.has(operationId)) continue;
      await using service = await exampleService();
      const story = new Story(service);
      for (const step of before[operationId] ?? before[operation.tags?.[0] ?? ''] ?? [])
        await story.happens(step);
      const { status: sent, body } = await story.sends(operationId, type);
      found.push([operationId, sent, withoutPlaces(body)]);
      expected.push([operationId, operation.responses[201] ? 201 : Number(status), withoutPlaces(example)]);
    }
  }
  expect(found).toEqual(expected);
  expect(found.length).toBeGreaterThan(25);
});

it.each(['getReadiness', 'getStartup'])(
  '%s answers with the example of its 503 while a check fails',
  async (id) => {
    const example = routes.get(id)?.operation.responses['503']?.content?.['application/json']?.example;
    const { checks } = example as { checks: { log: { ok: boolean } } };
    await using service = await exampleService(checks.log);
    expect(await new Story(service).sends(id)).toEqual({ status: 503, body: example });
  },
);
