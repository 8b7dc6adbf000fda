import { reasonOf } from '../../eventstore/index.ts';
import type { Config } from '../../platform/config/schema.ts';
import { type Finding, fail, ok } from './checks.ts';

const ANSWER_MS = 2_000;

/** Whether the collectors that are configured take what would be sent. */
export async function collectors({ tracing, metrics }: Config): Promise<readonly Finding[]> {
  const configured = [
    { key: 'tracing.endpoint', url: tracing.enabled ? tracing.endpoint : '', path: '/v1/traces' },
    { key: 'metrics.otlpEndpoint', url: metrics.enabled ? metrics.otlpEndpoint : '', path: '/v1/metrics' },
  ].filter(({ url }) => url !== '');
  if (configured.length === 0) return [ok('collector', 'none is configured')];
  return Promise.all(
    configured.map(async ({ key, url, path }) => {
      const failed = await failureOf(url.replace(/\/+$/, '') + path);
      if (failed === undefined) return ok('collector', `${key} ${url} takes what it is sent`);
      return fail('collector', `${key} ${url} ${failed}`, `Start the collector, or correct ${key}.`);
    }),
  );
}

/** Sends nothing in a valid form. */
async function failureOf(url: string): Promise<string | undefined> {
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
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
