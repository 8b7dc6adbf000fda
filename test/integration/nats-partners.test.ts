import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { orders } from '../../src/processes/contracts/orders.ts';
import { publicStreamConfig, publicStreamName } from '../../src/processes/engine/index.ts';
import { contracts } from '../../src/service/shop.ts';
import {
  type ConfigCopy,
  copyOfConfigs,
  makeSecrets,
  type NatsSecrets,
  type SecuredServer,
  startSecuredServer,
} from '../support/secured-nats.ts';

const PARTNERS = ['--partner', 'acme=orders-v1', '--partner', 'umbrella=orders-v1,catalogue-v1'];
const STREAM = publicStreamName('jl', orders);
const API = 'LOG.API';
const SUBJECT = 'pub.orders.v1.1.order-1';

let secrets: NatsSecrets;
let configs: ConfigCopy;
let server: SecuredServer;
let owner: NatsConnection;
let acme: NatsConnection;
let umbrella: NatsConnection;

beforeAll(async () => {
  secrets = await makeSecrets(...PARTNERS);
  configs = await copyOfConfigs(...PARTNERS);
  server = await startSecuredServer('server.conf', secrets, { dir: configs.dir });
  owner = await secrets.connectAs('owner', server);
  const jsm = await jetstreamManager(owner);
  for (const contract of contracts)
    await jsm.streams.add(publicStreamConfig(contract, { prefix: 'jl', replicas: 1, keepMs: undefined }));
  await jsm.streams.add({ name: 'jetledger', subjects: ['jl.>'] });
  const processor = await secrets.connectAs('processor', server);
  for (const text of ['one', 'two', 'three']) await processor.request(SUBJECT, text);
  await processor.close();
  acme = await secrets.connectAs('acme', server);
  umbrella = await secrets.connectAs('umbrella', server);
}, 60_000);
afterAll(async () => {
  for (const connection of [owner, acme, umbrella]) await connection?.close();
  await server?.[Symbol.asyncDispose]();
  await configs?.[Symbol.asyncDispose]();
  await secrets?.[Symbol.asyncDispose]();
});

/** A partner reads with the client that NATS gives it: one durable consumer of its own name. */
async function read(partner: NatsConnection, name: string): Promise<string[]> {
  const jsm = await jetstreamManager(partner, { apiPrefix: API, checkAPI: false });
  await jsm.consumers.add(STREAM, {
    durable_name: name,
    ack_policy: 'explicit',
    filter_subject: 'pub.orders.>',
  });
  const consumer = await jetstream(partner, { apiPrefix: API }).consumers.get(STREAM, name);
  const seen: string[] = [];
  for await (const message of await consumer.fetch({ max_messages: 3, expires: 5_000 })) {
    seen.push(message.string());
    expect(await message.ackAck()).toBe(true);
  }
  return seen;
}

/** Whether nobody answers: the account has no way there, or the user no right. */
async function isOutOfReach(partner: NatsConnection, subject: string, payload = '{}'): Promise<boolean> {
  const answer = await partner
    .request(subject, payload, { timeout: 1_000 })
    .catch((error: unknown) => String(error));
  return typeof answer === 'string' && /no responders|permission|timeout/i.test(answer);
}

const messagesIn = async (stream: string): Promise<number> =>
  (await (await jetstreamManager(owner)).streams.info(stream)).state.messages;

describe('a partner, with the user that is made for it', () => {
  it('reads the streams of its contracts, each partner from the beginning and for itself', async () => {
    expect(await read(acme, 'acme')).toEqual(['one', 'two', 'three']);
    expect(await read(umbrella, 'umbrella')).toEqual(['one', 'two', 'three']);
  });

  it.each([
    ['the log', `${API}.STREAM.INFO.jetledger`],
    ['a context that is not its own', `${API}.STREAM.INFO.jl-public-catalogue-v1`],
    ['what another partner has read', `${API}.CONSUMER.MSG.NEXT.${STREAM}.umbrella`],
    ['the consumer of another partner', `${API}.CONSUMER.DELETE.${STREAM}.umbrella`],
    ['a consumer without its name', `${API}.CONSUMER.CREATE.${STREAM}`],
    ['to purge', `${API}.STREAM.PURGE.${STREAM}`],
    ['to delete', `${API}.STREAM.DELETE.${STREAM}`],
    ['to change', `${API}.STREAM.UPDATE.${STREAM}`],
    ['to publish what is public', SUBJECT],
    ['to append', 'jl.order.0.0.0.x'],
    ['the rows of the engine', '$KV.jl_cursors.x'],
    ['the server itself', '$JS.API.STREAM.NAMES'],
  ])('does not reach %s', async (_what, subject) => {
    expect(await isOutOfReach(acme, subject)).toBe(true);
  });

  it('changes nothing by having messages sent astray', async () => {
    const before = [await messagesIn(STREAM), await messagesIn('jetledger')];
    for (const target of [
      SUBJECT,
      'jl.order.0.0.0.x',
      '$JS.API.STREAM.PURGE.jetledger',
      '$JS.API.STREAM.DELETE.jetledger',
    ]) {
      const config = { durable_name: 'acme', ack_policy: 'none', deliver_subject: target };
      const request = JSON.stringify({ stream_name: STREAM, config });
      await acme.request(`${API}.CONSUMER.DELETE.${STREAM}.acme`, '').catch(() => undefined);
      await acme
        .request(`${API}.CONSUMER.CREATE.${STREAM}.acme`, request, { timeout: 1_000 })
        .catch(() => undefined);
      acme.publish(`${API}.DIRECT.GET.${STREAM}`, JSON.stringify({ seq: 1 }), { reply: target });
      await acme.flush();
    }
    // An answer that goes astray comes before the one to a later request.
    await acme.request(`${API}.STREAM.INFO.${STREAM}`, '');
    expect([await messagesIn(STREAM), await messagesIn('jetledger')]).toEqual(before);
  });
});
