import type { Meter } from '@opentelemetry/api';
import type { Exchange } from '../telemetry/client-span.ts';

/**
 * An exchange that is timed, each try on its own. `server` is the role of who is asked, never an address.
 * @param inner what does the exchange
 */
export function meteredExchange(inner: Exchange, meter: Meter, server: 'payment' | 'webhook'): Exchange {
  const duration = meter.createHistogram('http.client.request.duration', {
    unit: 's',
    description: 'Of calls to other systems over HTTP, each try on its own',
  });
  return async (request, headers, send) => {
    const started = performance.now();
    const done = (status: string, error: string): void =>
      duration.record((performance.now() - started) / 1_000, {
        server,
        'http.response.status_code': status,
        'error.type': error,
      });
    try {
      const answer = await inner(request, headers, send);
      done(String(answer.status), answer.status >= 400 ? String(answer.status) : '');
      return answer;
    } catch (error) {
      const status = statusOf(error);
      done(status, status === '' ? reasonOf(error) : status);
      throw error;
    }
  };
}

/** Of an answer that counts as none; empty when nothing came. */
function statusOf(error: unknown): string {
  return error instanceof Error && 'status' in error && typeof error.status === 'number'
    ? String(error.status)
    : '';
}

function reasonOf(error: unknown): 'timeout' | 'connection' {
  return isTimeout(error) || (error instanceof Error && isTimeout(error.cause)) ? 'timeout' : 'connection';
}

const isTimeout = (error: unknown): boolean => error instanceof Error && error.name === 'TimeoutError';
