import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import type { FastifyInstance } from 'fastify';
import { accessOf } from '../auth/access.ts';
import { sendProblem } from '../problem-reply.ts';

const RESOLUTION_MS = 10;
const SAMPLE_MS = 250;
const NANOS_PER_MS = 1e6;

/**
 * Answers 503 early while the event loop is late, so that those who are answered are answered in time. Public routes
 * (health, metrics) are answered all the same.
 * @param maxDelayMs mean delay over the last quarter of a second from which on requests are refused; 0 = never
 * @param delayMs where the delay is read, for tests
 */
export function refuseWhenOverloaded(app: FastifyInstance, maxDelayMs: number, delayMs?: () => number): void {
  if (maxDelayMs === 0) return;
  const current = delayMs ?? watchEventLoop(app);
  app.addHook('onRequest', (request, reply, done) => {
    if (current() <= maxDelayMs || accessOf(request) === 'public') done();
    else sendProblem(request, reply, { code: 'service/overloaded' });
  });
}

function watchEventLoop(app: FastifyInstance): () => number {
  const histogram: IntervalHistogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  let delay = 0;
  histogram.enable();
  const timer = setInterval(() => {
    // What is measured is the time between two ticks, so the wanted one is taken off.
    delay = Math.max(0, histogram.mean / NANOS_PER_MS - RESOLUTION_MS) || 0;
    histogram.reset();
  }, SAMPLE_MS);
  timer.unref();
  app.addHook('onClose', async () => {
    clearInterval(timer);
    histogram.disable();
  });
  return () => delay;
}
