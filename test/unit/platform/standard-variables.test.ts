import { describe, expect, it } from 'vitest';
import { ConfigError } from '../../../src/platform/config/errors.ts';
import { configDir, loadConfig } from '../../../src/platform/config/load.ts';
import type { Config } from '../../../src/platform/config/schema.ts';
import { otlpHeaders, otlpUrl, protocolOf } from '../../../src/platform/config/standard-variables.ts';

type Variables = Readonly<Record<string, string>>;

const load = (env: Variables): Config =>
  loadConfig({ env: { JETLEDGER_ENV: 'test', ...env }, dir: configDir({}) });
const endpoints = ({ tracing, metrics, logging }: Config) => [
  tracing.enabled && tracing.endpoint,
  metrics.otlpEndpoint,
  logging.otlpEndpoint,
];

const COLLECTOR = 'http://collector:4318';
const ALL = { OTEL_EXPORTER_OTLP_ENDPOINT: COLLECTOR };

describe("OpenTelemetry's variables", () => {
  it('an address switches on the signals that it is of, an exporter too, and none switches off', () => {
    const cases: [Variables, readonly (string | false)[]][] = [
      [{}, [false, '', '']],
      [ALL, [COLLECTOR, COLLECTOR, COLLECTOR]],
      [{ ...ALL, OTEL_LOGS_EXPORTER: 'none' }, [COLLECTOR, COLLECTOR, '']],
      [{ ...ALL, OTEL_METRICS_EXPORTER: 'prometheus' }, [COLLECTOR, '', COLLECTOR]],
      [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://t/own' }, ['http://t/own', '', '']],
      [{ OTEL_TRACES_EXPORTER: 'otlp' }, ['http://localhost:4318', '', '']],
      [{ OTEL_EXPORTER_OTLP_ENDPOINT: '' }, [false, '', '']],
    ];
    for (const [variables, expected] of cases) expect(endpoints(load(variables))).toEqual(expected);
  });

  it('stand above the files and below the variables of JetLedger, but for the one that switches everything off', () => {
    const own = {
      JETLEDGER_TRACING__ENDPOINT: 'http://own:1',
      JETLEDGER_TRACING__SAMPLE_RATIO: '0.5',
      JETLEDGER_SERVICE__NAME: 'own',
      JETLEDGER_METRICS__INTERVAL_MS: '5000',
    };
    const standard = {
      ...ALL,
      OTEL_SERVICE_NAME: 'standard',
      OTEL_TRACES_SAMPLER: 'always_on',
      OTEL_METRIC_EXPORT_INTERVAL: '700',
    };
    const told = ({ service, tracing, metrics }: Config) => [
      service.name,
      tracing.endpoint,
      tracing.sampleRatio,
      metrics.intervalMs,
    ];
    expect(told(load(standard))).toEqual(['standard', COLLECTOR, 1, 700]);
    expect(told(load({ ...standard, ...own }))).toEqual(['own', 'http://own:1', 0.5, 5_000]);
    const off = load({ ...standard, ...own, OTEL_SDK_DISABLED: 'TRUE', JETLEDGER_METRICS__ENABLED: 'true' });
    expect([...endpoints(off), off.metrics.enabled, off.tracing.devTraces]).toEqual([
      false,
      '',
      '',
      false,
      0,
    ]);
  });

  it('name the service, by itself or among the attributes of its resource', () => {
    const attributes = { OTEL_RESOURCE_ATTRIBUTES: 'a=b, service.name=among%20them' };
    expect(() => load(attributes)).toThrow('given "among them" (OTEL_RESOURCE_ATTRIBUTES)');
    expect(load({ OTEL_RESOURCE_ATTRIBUTES: 'a=b,service.name=shop.orders' }).service.name).toBe(
      'shop.orders',
    );
    expect(load({ ...attributes, OTEL_SERVICE_NAME: 'alone' }).service.name).toBe('alone');
  });

  it('say which share is sampled, and whether callers decide', () => {
    const cases: [string, string | undefined, boolean, number][] = [
      ['always_on', '0.3', false, 1],
      ['always_off', undefined, false, 0],
      ['traceidratio', '0.3', false, 0.3],
      ['traceidratio', undefined, false, 1],
      ['parentbased_always_on', undefined, true, 1],
      ['parentbased_always_off', undefined, true, 0],
      ['parentbased_traceidratio', '0.25', true, 0.25],
    ];
    for (const [sampler, argument, followCaller, sampleRatio] of cases) {
      const variables = { OTEL_TRACES_SAMPLER: sampler, OTEL_TRACES_SAMPLER_ARG: argument ?? '' };
      expect(load(variables).tracing).toMatchObject({ followCaller, sampleRatio });
    }
  });

  it('are refused with what is allowed when they say nothing that is understood', () => {
    const wrong: [string, string, string][] = [
      ['OTEL_TRACES_SAMPLER', 'jaeger_remote', 'parentbased_traceidratio'],
      ['OTEL_TRACES_EXPORTER', 'zipkin', 'otlp, none'],
      ['OTEL_EXPORTER_OTLP_PROTOCOL', 'grcp', 'http/protobuf, http/json, grpc'],
      ['OTEL_METRIC_EXPORT_INTERVAL', 'often', 'a whole number from'],
      ['OTEL_EXPORTER_OTLP_ENDPOINT', 'collector:4318', 'http://host:port'],
    ];
    for (const [variable, value, allowed] of wrong) {
      const refused = (): Config => load({ ...ALL, [variable]: value });
      expect(refused).toThrow(ConfigError);
      expect(refused).toThrow(allowed);
      expect(refused).toThrow(variable);
    }
  });

  it('say where a signal goes, how, and with which headers', () => {
    const own = { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://t/own' };
    expect(otlpUrl('http://c:1/', 'traces', own)).toBe('http://c:1/v1/traces');
    expect(otlpUrl('http://c:1/v1/logs', 'logs', own)).toBe('http://c:1/v1/logs');
    expect(otlpUrl('http://t/own', 'traces', own)).toBe('http://t/own');
    const grpc = { OTEL_EXPORTER_OTLP_METRICS_PROTOCOL: 'grpc' };
    expect([protocolOf('metrics', grpc), protocolOf('logs', grpc)]).toEqual(['grpc', 'http/protobuf']);
    expect(otlpUrl('http://c:4317', 'metrics', grpc)).toBe('http://c:4317');
    const keys = { OTEL_EXPORTER_OTLP_HEADERS: 'a=1, b=2', OTEL_EXPORTER_OTLP_LOGS_HEADERS: 'b=%203' };
    expect(otlpHeaders('logs', keys)).toEqual({ a: '1', b: ' 3' });
  });
});
