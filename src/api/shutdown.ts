import type { FastifyInstance } from 'fastify';

const SWEEP_MS = 50;

/**
 * Lets `app.close()` end: connections that become idle after it began are closed at once, and whatever is still open
 * after `graceMs` is cut, since no request takes longer than that.
 */
export function closeConnectionsOnShutdown(app: FastifyInstance, graceMs: number): void {
  app.addHook('preClose', (done) => {
    const { server } = app;
    if (server.listening) {
      const sweep = setInterval(() => server.closeIdleConnections(), SWEEP_MS);
      const cut = setTimeout(() => server.closeAllConnections(), graceMs);
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
