import { reasonOf } from '../../eventstore/index.ts';
import { readEnvironment } from '../../platform/config/environment.ts';
import type { Config } from '../../platform/config/schema.ts';
import { otlpHeaders, otlpUrl, protocolOf } from '../../platform/config/standard-variables.ts';
import { type Finding, fail, ok } from './checks.ts';

const ANSWER_MS = 2_000;

/** Whether the collectors that are configured take what would be sent. */
export async function collectors({ tracing, metrics, logging }: Config): Promise<readonly Finding[]> {
  const env = readEnvironment();
  const configured = [
    { key: 'tracing.endpoint', endpoint: tracing.enabled ? tracing.endpoint : '', signal: 'traces' },
    { key: 'metrics.otlpEndpoint', endpoint: metrics.otlpEndpoint, signal: 'metrics' },
    { key: 'logging.otlpEndpoint', endpoint: logging.otlpEndpoint, signal: 'logs' },
  ] as const;
  const wanted = configured.filter(({ endpoint }) => endpoint !== '');
  if (wanted.length === 0) return [ok('collector', 'none is configured')];
  return Promise.all(
    wanted.map(async ({ key, endpoint, signal }) => {
      if (protocolOf(signal, env) === 'grpc')
        return ok('collector', `${key} ${endpoint} is not asked over gRPC`);
      const failed = await failureOf(otlpUrl(endpoint, signal, env), otlpHeaders(signal, env));
      if (failed === undefined) return ok('collector', `${key} ${endpoint} takes what it is sent`);
      return fail('collector', `${key} ${endpoint} ${failed}`, `Start the collector, or correct ${key}.`);
    }),
  );
}

/** Sends nothing in a valid form. */
async function failureOf(url: string, headers: Record<string, string>): Promise<string | undefined> {
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body: '{}',
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    void response.body?.cancel();
    return response.ok ? undefined : `answers with status ${response.status}`;
  } catch (error) {
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
    return `does not answer (${reasonOf(cause)})`;
  }
}
