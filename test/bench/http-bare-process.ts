import { randomUUID } from 'node:crypto';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import Fastify, { type FastifyInstance } from 'fastify';
import { openEmmett } from './peers/peer.ts';

// A route as one would write it by hand, on the client's usual ways: no checks, no state, no second thought.
const app = Fastify();
const [kind, address = '', bucketStream = ''] = process.argv.slice(2);
if (kind === 'emmett') await emmettRoute(app, address);
else await natsRoutes(app, address, bucketStream);

process.on('disconnect', () => process.exit(0));
process.send?.(await app.listen({ host: '127.0.0.1', port: 0 }));

async function natsRoutes(routes: FastifyInstance, url: string, stream: string): Promise<void> {
  const connection = await connect({ servers: url, noAsyncTraces: true });
  const js = jetstream(connection);
  const jsm = await jetstreamManager(connection);
  await jsm.streams.add({ name: 'bare', subjects: ['bare.>'], allow_direct: true });
  routes.post('/v1/orders', async (request, reply) => {
    const id = randomUUID();
    const { seq } = await js.publish(`bare.order.${id}`, JSON.stringify(request.body));
    return reply.code(201).send({ id, seq });
  });
  const bucket = stream.replace('KV_', '');
  routes.get<{ Params: { id: string } }>('/v1/orders/:id', async (request, reply) => {
    const row = await jsm.direct.getMessage(stream, { last_by_subj: `$KV.${bucket}.${request.params.id}` });
    if (row === null) return reply.code(404).send();
    return reply.type('application/json').send(Buffer.from(row.data));
  });
}

async function emmettRoute(routes: FastifyInstance, url: string): Promise<void> {
  const store = await openEmmett(url);
  routes.post('/v1/orders', async (request, reply) => {
    const id = randomUUID();
    const placed = { type: 'OrderPlaced' as const, data: request.body };
    // The fastest way that it has: nothing is read before.
    await store.appendToStream(`order-${id}`, [placed], { expectedStreamVersion: 'STREAM_DOES_NOT_EXIST' });
    return reply.code(201).send({ id });
  });
}
