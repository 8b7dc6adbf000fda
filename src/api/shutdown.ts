import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';

const SWEEP_MS = 50;

const connections = new WeakMap<FastifyInstance, ReadonlySet<Socket>>();

/**
 * Lets `app.close()` end: connections that become idle after it began are closed at once, and whatever is still open
 * after `graceMs` is cut, since no request takes longer than that.
 * @param stopping true already before it begins: then each answer asks its client to come over another connection
 */
export function closeConnectionsOnShutdown(
  app: FastifyInstance,
  graceMs: number,
  stopping: () => boolean = () => false,
): void {
  const { server } = app;
  const open = new Set<Socket>();
  connections.set(app, open);
  server.on('connection', (socket: Socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  });
  let closing = false;
  app.addHook('onRequest', (_request, reply, done) => {
    if (closing || stopping()) reply.header('connection', 'close');
    done();
  });
  app.addHook('preClose', (done) => {
    closing = true;
    if (server.listening) {
      const sweep = setInterval(() => server.closeIdleConnections(), SWEEP_MS);
      const cut = setTimeout(() => {
        app.log.warn({ connections: open.size }, 'connections are cut: their requests did not end in time');
        server.closeAllConnections();
      }, graceMs);
      sweep.unref();
      cut.unref();
      server.once('close', () => {
        clearInterval(sweep);
        clearTimeout(cut);
      });
    }
    done();
  });
}

/** How many clients are connected. */
export function openConnections(app: FastifyInstance): number {
  return connections.get(app)?.size ?? 0;
}
