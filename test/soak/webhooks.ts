import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Webhook } from 'standardwebhooks';
import { at } from '../../src/cli/demo.ts';
import { type OrderEvent, order } from '../../src/domain/order.ts';
import { codecOf } from '../../src/eventstore/codec/event-codec.ts';
import type { Log } from '../../src/eventstore/log.ts';
import { BEGINNING } from '../../src/eventstore/position.ts';
import { recordedEvents } from '../../src/eventstore/reading/recorded-event.ts';
import { orders } from '../../src/processes/contracts/orders.ts';
import { publicOf } from '../../src/processes/engine/publishing/contract.ts';
import { until } from '../../src/testing/until.ts';
import type { Variables } from '../support/service-process.ts';
import type { Client } from './client.ts';

/** What a service needs to publish, and to send to receivers on this machine; it waits for none for long. */
export const PUBLIC_VARIABLES: Variables = {
  JETLEDGER_PUBLIC_EVENTS__CONTEXTS: 'orders=forever',
  JETLEDGER_WEBHOOKS__TARGETS: 'loopback',
  JETLEDGER_WEBHOOKS__TIMEOUT_MS: '2000',
};

/** Receivers of every public event of orders; the first three are bad. */
export interface Receivers extends AsyncDisposable {
  /** Makes their webhooks. */
  subscribe(client: Client, run: string): Promise<void>;
  /** Lets all take everything from now on, and compares what they got with the plain map of the log. */
  compare(client: Client, log: Log): Promise<ReceiversReport>;
}

export interface ReceiversReport {
  readonly events: number;
  /** Over all receivers: what was taken, and of that what had been taken before. */
  readonly deliveries: number;
  readonly repeated: number;
  readonly violations: readonly string[];
}

interface Receiver {
  readonly n: number;
  readonly ordered: boolean;
  id: string;
  secret: string;
  tries: number;
  taken: number;
  readonly ids: Set<string>;
  /** The last number of each order. */
  readonly last: Map<string, number>;
  readonly wrong: Set<string>;
}

const ALL_WITHIN_MS = 180_000;

/** The first never answers, the second fails every other time, the third is busy; until all is calm. */
const BAD: readonly ((receiver: Receiver, response: ServerResponse) => boolean)[] = [
  () => true,
  ({ tries }, response) => {
    if (tries % 2 === 0) return false;
    response.writeHead(500).end();
    return true;
  },
  (_, response) => {
    response.writeHead(503, { 'retry-after': '2' }).end();
    return true;
  },
];

export async function startReceivers(count: number): Promise<Receivers> {
  const receivers = Array.from({ length: count }, (_, n): Receiver => {
    const nothing = { id: '', secret: '', tries: 0, taken: 0 };
    return { n, ordered: n % 2 === 1, ...nothing, ids: new Set(), last: new Map(), wrong: new Set() };
  });
  let calm = false;
  const server = createServer((request, response) => {
    const receiver = receivers[Number(request.url?.slice(2))];
    void bodyOf(request).then((body) => {
      if (receiver === undefined) return response.writeHead(404).end();
      receiver.tries++;
      if (!calm && BAD[receiver.n]?.(receiver, response) === true) return undefined;
      take(receiver, request, body);
      return response.writeHead(204).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    subscribe: async (client, run) => {
      for (const receiver of receivers) {
        const { n, ordered } = receiver;
        const body = { url: `${base}/r${n}`, types: ['jetledger.public.orders.v1.*'], ordered };
        const made = await client.send('POST', '/v1/webhooks', body, `${run}-webhook-${n}`);
        if (made.status !== 201) throw new Error(`a webhook was not made: ${JSON.stringify(made.body)}`);
        receiver.id = String(at(made.body, 'id'));
        receiver.secret = String(at(made.body, 'secret'));
      }
    },
    compare: async (client, log) => {
      calm = true;
      // As an operator does whose receiver is back: what has failed is tried again at once.
      for (const { id, n } of receivers.slice(0, BAD.length))
        await client.send('PATCH', `/v1/webhooks/${id}`, { description: 'back' }, `back-${n}-${id}`);
      const expected = await publicIds(log);
      const haveAll = (): boolean => receivers.every(({ ids }) => ids.size >= expected.size);
      await until('every receiver has everything', haveAll, ALL_WITHIN_MS).catch(() => undefined);
      const deliveries = receivers.reduce((sum, { taken }) => sum + taken, 0);
      const once = receivers.reduce((sum, { ids }) => sum + ids.size, 0);
      const violations = receivers.flatMap((receiver) => violationsOf(receiver, expected));
      return { events: expected.size, deliveries, repeated: deliveries - once, violations };
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function take(receiver: Receiver, { headers }: IncomingMessage, body: string): void {
  const { ids, last, wrong, ordered, secret } = receiver;
  receiver.taken++;
  try {
    const event = new Webhook(secret).verify(body, headers as Record<string, string>);
    const [id, subject, sequence] = ['id', 'subject', 'sequence'].map((field) => String(at(event, field)));
    if (id === undefined || subject === undefined || ids.has(id)) return;
    ids.add(id);
    const before = last.get(subject) ?? 0;
    if (ordered && Number(sequence) !== before + 1) wrong.add(`${subject}: ${sequence} came after ${before}`);
    last.set(subject, Number(sequence));
  } catch (error) {
    wrong.add(String(error));
  }
}

function violationsOf({ n, ids, wrong }: Receiver, expected: ReadonlySet<string>): string[] {
  const lacks = [...expected].filter((id) => !ids.has(id)).length;
  const more = [...ids].filter((id) => !expected.has(id)).length;
  return [
    ...(lacks > 0 ? [`receiver ${n} lacks ${lacks} of ${expected.size} events`] : []),
    ...(more > 0 ? [`receiver ${n} has ${more} events that there are not`] : []),
    ...[...wrong].map((what) => `receiver ${n}: ${what}`),
  ];
}

/** The ids of all public events of orders, as the log says. */
async function publicIds(log: Log): Promise<ReadonlySet<string>> {
  const codec = codecOf<OrderEvent>(order);
  const ids = new Set<string>();
  for await (const { commits } of log.scan({ after: BEGINNING, filter: { category: order.category } }))
    for (const commit of commits)
      for (const { id, event, time } of recordedEvents(commit, codec))
        if (publicOf(orders, event, { id: commit.stream.id, time }) !== undefined) ids.add(id);
  return ids;
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}
