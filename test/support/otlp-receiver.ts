import { startHttpServer } from '../contract/payment-server.ts';

interface Attribute {
  readonly key: string;
  readonly value: { readonly stringValue?: string; readonly intValue?: number | string };
}
interface Described {
  readonly resource: { readonly attributes: readonly Attribute[] };
}
export interface SentSpan {
  readonly traceId: string;
  readonly parentSpanId?: string;
  readonly name: string;
}
export interface SentMetric {
  readonly name: string;
}
export interface SentLine {
  readonly traceId?: string;
  readonly severityText: string;
  readonly body: { readonly stringValue: string };
}

/** What one resource has sent of a signal. */
export interface Sent<Item> {
  readonly resource: Readonly<Record<string, string>>;
  readonly items: readonly Item[];
}

/** A collector that takes OTLP as JSON and keeps what it was sent. */
export interface OtlpReceiver extends AsyncDisposable {
  readonly url: string;
  /** The headers of every export so far. */
  headers(): readonly Readonly<Record<string, unknown>>[];
  spans(): readonly Sent<SentSpan>[];
  metrics(): readonly Sent<SentMetric>[];
  lines(): readonly Sent<SentLine>[];
}

export async function startOtlpReceiver(): Promise<OtlpReceiver> {
  const server = await startHttpServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
  });
  /** Everything that came to a path, one for each export and resource. */
  function sentTo<Item>(path: string, list: string, scopes: string, items: string): Sent<Item>[] {
    const bodies = server.received.filter((request) => request.path === path);
    return bodies.flatMap(({ body }) => {
      const resources =
        (JSON.parse(body) as Record<string, (Described & Record<string, unknown>)[]>)[list] ?? [];
      return resources.map((each) => ({
        resource: attributesOf(each),
        items: (each[scopes] as Record<string, Item[]>[]).flatMap((scope) => scope[items] ?? []),
      }));
    });
  }
  return {
    url: server.url,
    headers: () => server.received.map(({ headers }) => headers),
    spans: () => sentTo<SentSpan>('/v1/traces', 'resourceSpans', 'scopeSpans', 'spans'),
    metrics: () => sentTo<SentMetric>('/v1/metrics', 'resourceMetrics', 'scopeMetrics', 'metrics'),
    lines: () => sentTo<SentLine>('/v1/logs', 'resourceLogs', 'scopeLogs', 'logRecords'),
    [Symbol.asyncDispose]: server.stop,
  };
}

function attributesOf({ resource }: Described): Record<string, string> {
  return Object.fromEntries(
    resource.attributes.map(({ key, value }) => [key, String(value.stringValue ?? value.intValue)]),
  );
}
