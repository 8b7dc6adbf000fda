import { propagation, type TextMapPropagator } from '@opentelemetry/api';
import { afterEach, describe, expect, it } from 'vitest';
import {
  type BreakerState,
  createHttpProvider,
  type HttpExchangeOptions,
} from '../../src/processes/payment/adapters/http.ts';
import { PaymentRefused, PaymentUnavailable } from '../../src/processes/payment/port.ts';
import { until } from '../../src/testing/until.ts';
import { answerJson, type HttpServer, type Respond, startHttpServer } from '../contract/payment-server.ts';

const API_KEY = 'sk-very-secret';
const AUTHORISED = { status: 'authorised', payment_id: 'p-1' };

const provider = (server: Pick<HttpServer, 'url'>, options: Partial<HttpExchangeOptions> = {}) =>
  createHttpProvider({
    baseUrl: `${server.url}/v1/`,
    apiKey: API_KEY,
    timeoutMs: 2_000,
    retryBaseMs: 5,
    retryCapMs: 20,
    ...options,
  });

/** Answers the n-th request by the n-th of these, and all later ones by the last. */
function inTurn(...responds: Respond[]): Respond {
  let turn = 0;
  return (request, response) => responds[Math.min(turn++, responds.length - 1)]?.(request, response);
}
const status =
  (code: number, body: unknown = {}): Respond =>
  (_, response) =>
    answerJson(response, code, body);
const bytes =
  (body: string): Respond =>
  (_, response) => {
    response.writeHead(200).end(body);
  };
const drop: Respond = (_, response) => {
  response.destroy();
};
const silent: Respond = () => undefined;

const caught = async (call: Promise<unknown>): Promise<unknown> => {
  const nothing = Symbol('no error');
  const error: unknown = await call.then(
    () => nothing,
    (reason: unknown) => reason,
  );
  expect(error).not.toBe(nothing);
  return error;
};

/** Everything that a log would show of an error. */
function shownOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return `${error.stack} ${JSON.stringify(error)} ${shownOf(error.cause)}`;
}

describe('a request to the provider', () => {
  afterEach(() => propagation.disable());

  it('is what docs/payment.md says: path, body, key of the call, and secret', async () => {
    await using server = await startHttpServer(status(201, { payment_id: 'p-1', status: 'created' }));
    const intent = { key: 'order-1', amountMinor: 12_345_678_901_234_567n, currency: 'EUR', token: 'tok_x' };
    expect(await provider(server).createIntent(intent)).toEqual({ paymentId: 'p-1' });
    const [request] = server.received;
    expect(request).toMatchObject({ method: 'POST', path: '/v1/intents' });
    expect(request?.headers).toMatchObject({
      authorization: `Bearer ${API_KEY}`,
      'idempotency-key': 'order-1/create',
      'content-type': 'application/json',
    });
    expect(JSON.parse(request?.body ?? '')).toEqual({
      key: 'order-1',
      amount_minor: '12345678901234567',
      currency: 'EUR',
      token: 'tok_x',
    });
  });

  it('carries the trace that is under way', async () => {
    const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
    const propagator: TextMapPropagator = {
      inject: (_, carrier, setter) => setter.set(carrier, 'traceparent', traceparent),
      extract: (context) => context,
      fields: () => ['traceparent'],
    };
    propagation.setGlobalPropagator(propagator);
    await using server = await startHttpServer(status(200, AUTHORISED));
    await provider(server).authorise('order-1');
    expect(server.received[0]?.headers.traceparent).toBe(traceparent);
  });

  it('is refused before it is sent where the key, the URL or the secret cannot be used', async () => {
    await using server = await startHttpServer(status(200, AUTHORISED));
    for (const key of ['', '..', 'a/b', 'a b', 'ü']) {
      expect(await caught(provider(server).capture(key))).toMatchObject({ code: 'invalid_key' });
    }
    for (const baseUrl of ['', 'ftp://x', 'http://user:secret@host', 'http://host/?a=b']) {
      expect(() => provider(server, { baseUrl })).toThrow(RangeError);
    }
    expect(() => provider(server, { apiKey: 'with\nline' })).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('with') }),
    );
    expect(server.received).toHaveLength(0);
  });
});

describe('an answer that means something', () => {
  const refusals: [number, unknown, string][] = [
    [400, { error: { code: 'bad_amount', message: 'No.' } }, 'bad_amount'],
    [401, { error: { code: 'unauthorised', message: 'No.' } }, 'unauthorised'],
    [404, { error: 'not as documented' }, 'http_404'],
    [409, [], 'http_409'],
  ];
  for (const [code, body, expected] of refusals) {
    it(`is a refusal for good (${code}, ${expected}), and is asked for once`, async () => {
      await using server = await startHttpServer(status(code, body));
      const error = await caught(provider(server).authorise('order-1'));
      expect(error).toBeInstanceOf(PaymentRefused);
      expect(error).toMatchObject({ code: expected });
      expect(server.received).toHaveLength(1);
    });
  }

  it('is a decline with its code for 402, where a decline can be', async () => {
    const body = { payment_id: 'p-1', error: { code: 'card_declined', message: 'Not this card.' } };
    await using server = await startHttpServer(status(402, body));
    const declined = { outcome: 'declined', code: 'card_declined', message: 'Not this card.' };
    expect(await provider(server).authorise('order-1')).toEqual({ ...declined, paymentId: 'p-1' });
    expect(await provider(server).capture('order-1')).toEqual(declined);
    expect(await caught(provider(server).refund('order-1'))).toMatchObject({ code: 'card_declined' });
  });

  it('is one bounded line with a code in a safe alphabet, whatever the provider says', async () => {
    const error = {
      code: `card\n\u001b[31m/${'x'.repeat(3_000)}`,
      message: `no\u0000 \u202eevil\nline ${'ü'.repeat(900)}`,
    };
    const respond = inTurn(status(402, { payment_id: 'p\u001b]0;1\n', error }), status(409, { error }));
    await using server = await startHttpServer(respond);
    const declined = await provider(server).authorise('order-1');
    if (declined.outcome !== 'declined') throw new Error(`It is ${declined.outcome}.`);
    expect(declined).toMatchObject({
      paymentId: 'p ]0;1',
      code: expect.stringMatching(/^card___31m_x{53}$/),
    });
    expect(declined.message).toMatch(/^no evil line ü+…$/);
    expect(Array.from(declined.message)).toHaveLength(500);
    const refused = await caught(provider(server).capture('order-1'));
    expect(refused).toMatchObject({ code: declined.code, message: `capture order-1: ${declined.message}` });
  });

  it('never repeats the token that it was given', async () => {
    const error = { code: 'bad_token', message: 'tok_x is none: tok_x' };
    await using server = await startHttpServer(status(400, { error }));
    const intent = { key: 'order-1', amountMinor: 1n, currency: 'EUR', token: 'tok_x' };
    const message = 'create order-1: *** is none: ***';
    expect(await caught(provider(server).createIntent(intent))).toMatchObject({ message });
  });

  it('has words of its own where the provider says nothing that can be shown', async () => {
    await using server = await startHttpServer(
      status(402, { payment_id: 'p-1', error: { code: '', message: '\u0000\n' } }),
    );
    expect(await provider(server).authorise('order-1')).toMatchObject({
      code: 'declined',
      message: 'The payment was declined.',
    });
  });

  it('does not follow a redirect, which would carry the secret elsewhere', async () => {
    await using other = await startHttpServer(status(200, AUTHORISED));
    await using server = await startHttpServer((_, response) => {
      response.writeHead(307, { location: other.url }).end();
    });
    expect(await caught(provider(server).authorise('order-1'))).toMatchObject({ code: 'http_307' });
    expect(other.received).toHaveLength(0);
  });
});

describe('a provider that is flaky', () => {
  it('is asked again with the same key of the call, and the caller sees nothing of it', async () => {
    await using server = await startHttpServer(inTurn(status(503), drop, status(200, AUTHORISED)));
    expect(await provider(server).authorise('order-1')).toEqual({ outcome: 'authorised', paymentId: 'p-1' });
    const keys = server.received.map((request) => request.headers['idempotency-key']);
    expect(keys).toEqual(['order-1/authorise', 'order-1/authorise', 'order-1/authorise']);
  });

  for (const code of [429, 500, 502, 503, 504]) {
    it(`is given up after its repetitions when it keeps answering ${code}`, async () => {
      await using server = await startHttpServer(status(code));
      expect(await caught(provider(server, { retries: 1 }).capture('order-1'))).toBeInstanceOf(
        PaymentUnavailable,
      );
      expect(server.received).toHaveLength(2);
    });
  }

  const malformed: [string, Respond][] = [
    ['no JSON', bytes('<html>')],
    ['JSON that is cut off', bytes('{"status":"auth')],
    ['nothing', bytes('')],
    ['no object', status(200, ['authorised'])],
    ['an unknown status', status(200, { ...AUTHORISED, status: 'perhaps' })],
    ['no payment id', status(200, { status: 'authorised' })],
    ['longer than anything it could say', bytes('x'.repeat(70_000))],
  ];
  for (const [what, respond] of malformed) {
    it(`is not believed when its success is ${what}`, async () => {
      await using server = await startHttpServer(respond);
      expect(await caught(provider(server).authorise('order-1'))).toBeInstanceOf(PaymentUnavailable);
    });
  }

  it('is not believed about an amount that is no number', async () => {
    const body = { status: 'captured', payment_id: 'p-1', amount_minor: '12.5', currency: 'EUR' };
    await using server = await startHttpServer(status(200, body));
    expect(await caught(provider(server).capture('order-1'))).toBeInstanceOf(PaymentUnavailable);
  });
});

describe('a provider that is slow or down', () => {
  it('is waited for up to the timeout and not asked again at once; its late answer changes nothing', async () => {
    let answer = (): void => undefined;
    await using server = await startHttpServer((_, response) => {
      answer = () => answerJson(response, 200, AUTHORISED);
    });
    const client = provider(server, { timeoutMs: 100 });
    expect(await caught(client.authorise('order-1'))).toMatchObject({
      name: 'PaymentUnavailable',
      message: expect.stringContaining('no answer in 100 ms'),
    });
    answer();
    expect(server.received).toHaveLength(1);
    server.respond(status(200, AUTHORISED));
    expect(await client.authorise('order-1')).toMatchObject({ outcome: 'authorised' });
  });

  it('includes one whose body never ends', async () => {
    await using server = await startHttpServer((_, response) => {
      response.writeHead(200).write('{');
    });
    const call = provider(server, { timeoutMs: 100 }).authorise('order-1');
    expect(await caught(call)).toBeInstanceOf(PaymentUnavailable);
  });

  it('is not available, and the errors never show the secret', async () => {
    const server = await startHttpServer(silent);
    await server.stop();
    const error = await caught(provider(server).authorise('order-1'));
    expect(error).toBeInstanceOf(PaymentUnavailable);
    expect(shownOf(error)).toContain('ECONNREFUSED');
    expect(shownOf(error)).not.toContain(API_KEY);
  });
});

describe('the circuit breaker', () => {
  it('opens after failures in a row, sends nothing meanwhile, and closes when the provider is back', async () => {
    await using server = await startHttpServer(status(500));
    const states: BreakerState[] = [];
    const client = provider(server, {
      retries: 0,
      breaker: { failures: 3, openMs: 150 },
      onBreaker: (state) => states.push(state),
    });
    for (let i = 0; i < 3; i++) await caught(client.authorise('order-1'));
    expect(client.breaker()).toBe('open');
    expect(await caught(client.authorise('order-1'))).toBeInstanceOf(PaymentUnavailable);
    expect(server.received).toHaveLength(3);
    server.respond(status(200, AUTHORISED));
    await until('it is closed again', async () => {
      await client.authorise('order-1');
      return client.breaker() === 'closed';
    });
    expect(states).toEqual(['open', 'half-open', 'closed']);
  });

  it('opens again when the one call that tries fails, and repetitions do not hammer it', async () => {
    await using server = await startHttpServer(status(500));
    const client = provider(server, { retries: 5, breaker: { failures: 2, openMs: 100 } });
    await caught(client.authorise('order-1'));
    expect(server.received).toHaveLength(2);
    await until('one more was sent', async () => {
      await caught(client.authorise('order-1'));
      return server.received.length > 2;
    });
    expect(server.received).toHaveLength(3);
    expect(client.breaker()).toBe('open');
  });

  it('is not opened by refusals and declines: the provider works', async () => {
    await using server = await startHttpServer(inTurn(status(404), status(402, { payment_id: 'p-1' })));
    const client = provider(server, { breaker: { failures: 2, openMs: 60_000 } });
    await caught(client.authorise('order-1'));
    for (let i = 0; i < 5; i++)
      expect(await client.authorise('order-1')).toMatchObject({ outcome: 'declined' });
    expect(client.breaker()).toBe('closed');
  });
});
