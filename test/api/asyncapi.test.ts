import { createRequire } from 'node:module';
import { create, toJson } from '@bufbuild/protobuf';
import { Ajv } from 'ajv';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { OrderPlacedSchema } from '../../src/gen/jetledger/public/orders/v1/orders_pb.ts';
import type { AsyncApi } from '../../src/processes/engine/index.ts';
import { documentOf } from '../../src/service/public-events.ts';
import { contracts } from '../../src/service/shop.ts';
import { type MemoryService, memoryService, TEST_PUBLISHED } from '../support/memory-service.ts';

/** What is needed of the official parser, whose own types need those of a browser. */
interface OfficialParser {
  parse(document: string): Promise<{
    readonly document?: { channels(): { all(): readonly { id(): string }[] } };
    readonly diagnostics: readonly { readonly severity: number; readonly message: string }[];
  }>;
}
const { Parser } = createRequire(import.meta.url)('@asyncapi/parser') as { Parser: new () => OfficialParser };
const ERROR = 0;

let service: MemoryService;
let document: AsyncApi;
beforeAll(async () => {
  service = await memoryService();
  document = (await service.app.inject('/asyncapi.json')).json<AsyncApi>();
});
afterAll(() => service[Symbol.asyncDispose]());

const errorsOf = async (text: string): Promise<string[]> => {
  const { diagnostics } = await new Parser().parse(text);
  return diagnostics.filter(({ severity }) => severity === ERROR).map(({ message }) => message);
};

describe('/asyncapi.json', () => {
  it('is an AsyncAPI 3 document for the official parser, with every contract and every message', async () => {
    expect(await errorsOf(JSON.stringify(document))).toEqual([]);
    const parsed = await new Parser().parse(JSON.stringify(document));
    const names = contracts.map(({ context, version }) => `${context}-v${version}`);
    expect(
      parsed.document
        ?.channels()
        .all()
        .map((channel) => channel.id()),
    ).toEqual(names);
    const promised = contracts.flatMap(({ events }) => events.map(({ typeName }) => typeName));
    expect(Object.values(document.components.messages).map(({ name }) => name)).toEqual(promised);
  });

  it('would be refused by that parser if it named a message that is not there', async () => {
    const broken = JSON.stringify(document).replace(
      '"#/components/messages/orders-v1.OrderPaid"',
      '"#/components/nothing"',
    );
    expect(await errorsOf(broken)).not.toEqual([]);
  });

  it('tells only what is published, and how long that is kept', () => {
    const only = documentOf({
      ...TEST_PUBLISHED,
      publicEvents: { contexts: 'users=12h', format: 'protobuf' },
    });
    expect(Object.keys(only.channels)).toEqual(['users-v1']);
    expect(only.channels['users-v1']).toMatchObject({
      address: 'pub.users.v1.{slot}.{id}',
      description: expect.stringMatching(/Stream jl-public-users-v1, kept for 12 hours/),
    });
    expect(document.channels['orders-v1']?.description).toMatch(/kept for ever/);
    expect(
      documentOf({ ...TEST_PUBLISHED, publicEvents: { contexts: '', format: 'json' } }).channels,
    ).toEqual({});
  });

  it('describes the data as it is published, with room for what a newer contract adds', () => {
    const { payload } = document.components.messages['orders-v1.OrderPlaced'] ?? {};
    if (payload === undefined) throw new Error('OrderPlaced is not described.');
    const line = { sku: 'TEA', name: 'Tea', quantity: 2n, unitPriceMinor: 450n, lineTotalMinor: 900n };
    const placed = create(OrderPlacedSchema, {
      ...{ orderId: 'o', userId: 'u', lines: [line], currency: 'EUR', totalMinor: 900n, placedAt: 1n },
    });
    const valid = new Ajv().compile(payload);
    const json = toJson(OrderPlacedSchema, placed) as Record<string, unknown>;
    expect(valid(json)).toBe(true);
    expect(valid({ ...json, inFuture: {} })).toBe(true);
    expect(valid({ ...json, totalMinor: 900 })).toBe(false);
  });
});

describe('/asyncapi', () => {
  it('is a page with every context, subject, message and field', async () => {
    const { body, headers } = await service.app.inject('/asyncapi');
    expect(headers['content-type']).toMatch(/^text\/html/);
    for (const shown of [
      'orders-v1',
      'pub.orders.v1.{slot}.{id}',
      'OrderConfirmed',
      'lines[].unitPriceMinor',
      'ce-sequence',
      'UserForgotten',
    ])
      expect(body).toContain(shown);
  });
});
