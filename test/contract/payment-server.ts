import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  type PaymentProvider,
  PaymentRefused,
  PaymentUnavailable,
} from '../../src/processes/payment/port.ts';

/** One request as the server got it. */
export interface ReceivedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

export type Respond = (request: ReceivedRequest, response: ServerResponse) => void | Promise<void>;

export interface HttpServer extends AsyncDisposable {
  /** For example `http://127.0.0.1:34567`. */
  readonly url: string;
  readonly received: readonly ReceivedRequest[];
  /** From now on requests are answered like this. */
  respond(by: Respond): void;
  stop(): Promise<void>;
}

/** A real HTTP server on a free port, or on the one given. */
export async function startHttpServer(first: Respond, port = 0): Promise<HttpServer> {
  const received: ReceivedRequest[] = [];
  let by = first;
  const server = createServer((message, response) => {
    void (async () => {
      const chunks: Buffer[] = [];
      for await (const chunk of message) chunks.push(chunk as Buffer);
      const { method = '', url: path = '', headers } = message;
      const request = { method, path, headers, body: Buffer.concat(chunks).toString('utf8') };
      received.push(request);
      await by(request, response);
    })().catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const stop = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    respond: (next) => {
      by = next;
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

export function answerJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

/** The REST API of docs/payment.md on top of a provider. */
export function paymentApi(provider: PaymentProvider, apiKey: string): Respond {
  return async (request, response) => {
    if (request.headers.authorization !== `Bearer ${apiKey}`) {
      answerJson(response, 401, { error: { code: 'unauthorised', message: 'The API key is not known.' } });
      return;
    }
    try {
      const [status, body] = await answerTo(provider, request);
      answerJson(response, status, body);
    } catch (error) {
      if (error instanceof PaymentUnavailable) response.writeHead(503).end();
      else if (error instanceof PaymentRefused) {
        answerJson(response, error.code === 'intent_not_found' ? 404 : 409, {
          error: { code: error.code, message: error.message },
        });
      } else throw error;
    }
  };
}

async function answerTo(provider: PaymentProvider, request: ReceivedRequest): Promise<[number, unknown]> {
  if (request.path === '/intents') {
    const { key, amount_minor, currency, token } = JSON.parse(request.body);
    const made = await provider.createIntent({ key, amountMinor: BigInt(amount_minor), currency, token });
    return [201, { payment_id: made.paymentId, status: 'created' }];
  }
  const [, key = '', verb] = /^\/intents\/([^/]+)\/(\w+)$/.exec(request.path) ?? [];
  if (verb === 'refund') return [200, { status: 'refunded', ...shown(await provider.refund(key)) }];
  const verbs = { authorise: provider.authorise, capture: provider.capture, cancel: provider.cancel };
  if (verb !== 'authorise' && verb !== 'capture' && verb !== 'cancel') return [404, {}];
  const result = await verbs[verb](key);
  if (result.outcome !== 'declined') return [200, { status: result.outcome, ...shown(result) }];
  const { code, message } = result;
  return [402, { ...shown(result), error: { code, message } }];
}

function shown(result: object): object {
  const { paymentId, amountMinor, currency } = result as Record<string, unknown>;
  return {
    payment_id: paymentId,
    ...(amountMinor === undefined ? {} : { amount_minor: String(amountMinor), currency }),
  };
}
