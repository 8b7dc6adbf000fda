import type { ConfigProblem } from './errors.ts';
import type { Layer, Setting } from './layers.ts';

type Variables = Readonly<Record<string, string | undefined>>;

/** The kinds of telemetry that OpenTelemetry's variables tell apart. */
export type Signal = 'traces' | 'metrics' | 'logs';

/** How OTLP is sent; the first unless a variable says otherwise. */
const PROTOCOLS = ['http/protobuf', 'http/json', 'grpc'] as const;
export type Protocol = (typeof PROTOCOLS)[number];

/** Where a collector is by the standard, if somebody wants one and does not say where. */
const LOCAL_COLLECTOR = 'http://localhost:4318';

/** Says no more than what is set; by the standard an empty variable is as good as none. */
function readerOf(env: Variables): (name: string) => string | undefined {
  return (name) => env[name]?.trim() || undefined;
}

/**
 * Settings by OpenTelemetry's own variables. They stand above the files and below the variables of JetLedger; what has
 * no setting (headers, certificates, queues, propagators, resource) is read by the SDK itself.
 */
export function readStandardLayer(env: Variables): Layer {
  const settings = new Map<string, Setting>();
  const problems: ConfigProblem[] = [];
  const read = readerOf(env);
  const set = (name: string, value: unknown, origin: string): void =>
    void settings.set(name, { value, origin });
  const setFrom = (name: string, variables: readonly string[], convert: (text: string) => unknown): void => {
    const origin = variables.find((variable) => read(variable) !== undefined);
    if (origin !== undefined) set(name, convert(read(origin) ?? ''), origin);
  };

  const named = pairsOf(read('OTEL_RESOURCE_ATTRIBUTES'))['service.name'];
  if (named) set('service.name', named, 'OTEL_RESOURCE_ATTRIBUTES');
  setFrom('service.name', ['OTEL_SERVICE_NAME'], (text) => text);
  for (const signal of ['traces', 'metrics', 'logs'] as const) {
    const found = endpointOf(read, signal, problems);
    if (found === undefined) continue;
    set(ENDPOINTS[signal], found.endpoint, found.origin);
    if (signal === 'traces') set('tracing.enabled', found.endpoint !== '', found.origin);
    protocolProblem(read, signal, problems);
  }
  setFrom('metrics.intervalMs', ['OTEL_METRIC_EXPORT_INTERVAL'], toNumber);
  const timeouts = [
    'OTEL_EXPORTER_OTLP_TRACES_TIMEOUT',
    'OTEL_EXPORTER_OTLP_TIMEOUT',
    'OTEL_BSP_EXPORT_TIMEOUT',
  ];
  setFrom('tracing.exportTimeoutMs', timeouts, toNumber);
  for (const [name, setting] of samplerOf(read, problems)) settings.set(name, setting);
  return { settings, problems, notices: [] };
}

/** `OTEL_SDK_DISABLED=true` switches everything off, whatever else is set. */
export function switchedOff(env: Variables): Layer {
  const origin = 'OTEL_SDK_DISABLED';
  const off = readerOf(env)(origin)?.toLowerCase() === 'true' ? Object.entries(ALL_OFF) : [];
  return {
    settings: new Map(off.map(([name, value]) => [name, { value, origin }])),
    problems: [],
    notices: [],
  };
}

const ENDPOINTS = {
  traces: 'tracing.endpoint',
  metrics: 'metrics.otlpEndpoint',
  logs: 'logging.otlpEndpoint',
} as const satisfies Record<Signal, string>;

const ALL_OFF = {
  'tracing.enabled': false,
  'tracing.devTraces': 0,
  'metrics.enabled': false,
  'metrics.otlpEndpoint': '',
  'logging.otlpEndpoint': '',
};

type Read = ReturnType<typeof readerOf>;

/** Naming an address or an exporter switches a signal on, and the exporter `none` off. */
function endpointOf(read: Read, signal: Signal, problems: ConfigProblem[]) {
  const exporter = `OTEL_${signal.toUpperCase()}_EXPORTER`;
  const wanted = read(exporter)
    ?.split(',')
    .map((name) => name.trim());
  // GET /metrics is there for whoever scrapes.
  const allowed = signal === 'metrics' ? ['otlp', 'none', 'prometheus'] : ['otlp', 'none'];
  if (wanted?.some((name) => !allowed.includes(name))) {
    problems.push(notAllowed(exporter, read(exporter), allowed));
    return undefined;
  }
  const origin = [endpointVariable(signal), 'OTEL_EXPORTER_OTLP_ENDPOINT'].find(
    (name) => read(name) !== undefined,
  );
  if (wanted !== undefined && !wanted.includes('otlp')) return { endpoint: '', origin: exporter };
  if (origin !== undefined) return { endpoint: read(origin) ?? '', origin };
  return wanted === undefined ? undefined : { endpoint: LOCAL_COLLECTOR, origin: exporter };
}

function protocolProblem(read: Read, signal: Signal, problems: ConfigProblem[]): void {
  for (const name of protocolVariables(signal)) {
    const given = read(name);
    const isTold = problems.some(({ key }) => key === name);
    if (given !== undefined && !isTold && !PROTOCOLS.some((known) => known === given))
      problems.push(notAllowed(name, given, PROTOCOLS));
  }
}

/** Of the six samplers of the standard, as whether a caller decides, and a share. */
const SAMPLERS: Readonly<
  Record<string, { readonly followCaller: boolean; readonly ratio: number | 'argument' }>
> = {
  always_on: { followCaller: false, ratio: 1 },
  always_off: { followCaller: false, ratio: 0 },
  traceidratio: { followCaller: false, ratio: 'argument' },
  parentbased_always_on: { followCaller: true, ratio: 1 },
  parentbased_always_off: { followCaller: true, ratio: 0 },
  parentbased_traceidratio: { followCaller: true, ratio: 'argument' },
};

function samplerOf(read: Read, problems: ConfigProblem[]): [string, Setting][] {
  const given = read('OTEL_TRACES_SAMPLER');
  if (given === undefined) return [];
  const sampler = SAMPLERS[given.toLowerCase()];
  if (sampler === undefined) {
    problems.push(notAllowed('OTEL_TRACES_SAMPLER', given, Object.keys(SAMPLERS)));
    return [];
  }
  const argument = read('OTEL_TRACES_SAMPLER_ARG');
  const ofArgument = sampler.ratio === 'argument' && argument !== undefined;
  const ratio = sampler.ratio === 'argument' ? toNumber(argument ?? '1') : sampler.ratio;
  return [
    ['tracing.followCaller', { value: sampler.followCaller, origin: 'OTEL_TRACES_SAMPLER' }],
    [
      'tracing.sampleRatio',
      { value: ratio, origin: ofArgument ? 'OTEL_TRACES_SAMPLER_ARG' : 'OTEL_TRACES_SAMPLER' },
    ],
  ];
}

/** A text that is no number is told with its setting, as any other value is. */
const toNumber = (text: string): unknown => (/^\d+(\.\d+)?$/.test(text) ? Number(text) : text);

function notAllowed(key: string, given: string | undefined, allowed: readonly string[]): ConfigProblem {
  return { key, message: `given ${JSON.stringify(given)} (environment); allowed: ${allowed.join(', ')}` };
}

/** `key=value` pairs between commas, percent-encoded. */
function pairsOf(text = ''): Record<string, string> {
  const pairs = text.split(',').map((pair) => /^\s*([^=\s]+)\s*=(.*)$/s.exec(pair));
  return Object.fromEntries(
    pairs.flatMap((pair) => (pair ? [[pair[1], decoded(pair[2]?.trim() ?? '')]] : [])),
  );
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Unique for this process, in its traces, metrics and logs, unless a variable names it. */
export function instanceIdOf(env: Variables): string | undefined {
  return pairsOf(readerOf(env)('OTEL_RESOURCE_ATTRIBUTES'))['service.instance.id'] || undefined;
}

const endpointVariable = (signal: Signal): string => `OTEL_EXPORTER_OTLP_${signal.toUpperCase()}_ENDPOINT`;
const protocolVariables = (signal: Signal): readonly string[] => [
  `OTEL_EXPORTER_OTLP_${signal.toUpperCase()}_PROTOCOL`,
  'OTEL_EXPORTER_OTLP_PROTOCOL',
];

/** How a signal is sent. */
export function protocolOf(signal: Signal, env: Variables): Protocol {
  const given = protocolVariables(signal)
    .map(readerOf(env))
    .find((name) => name !== undefined);
  return PROTOCOLS.find((known) => known === given) ?? PROTOCOLS[0];
}

/**
 * The address that a signal is sent to. What a setting or the variable of all signals names is a collector, to whose
 * address the signal's path is added; the variable of the one signal names the whole address.
 */
export function otlpUrl(endpoint: string, signal: Signal, env: Variables): string {
  const path = `/v1/${signal}`;
  const isWhole = endpoint === readerOf(env)(endpointVariable(signal)) || protocolOf(signal, env) === 'grpc';
  const trimmed = endpoint.replace(/\/+$/, '');
  return isWhole || trimmed.endsWith(path) ? endpoint : trimmed + path;
}

/** What goes with each export to a collector over HTTP, such as a key. */
export function otlpHeaders(signal: Signal, env: Variables): Record<string, string> {
  const read = readerOf(env);
  return {
    ...pairsOf(read('OTEL_EXPORTER_OTLP_HEADERS')),
    ...pairsOf(read(`OTEL_EXPORTER_OTLP_${signal.toUpperCase()}_HEADERS`)),
  };
}
