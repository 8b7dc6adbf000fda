import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { findPromtool } from '../support/promtool.ts';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const ALERTS = join(ROOT, 'configs/alerts');
const FILES = readdirSync(ALERTS).filter((name) => name.endsWith('.yaml'));

interface Rule {
  readonly file: string;
  readonly alert: string;
  readonly labels: { readonly severity?: string };
  readonly annotations: { readonly summary?: string; readonly runbook_url?: string };
}
interface Expected {
  readonly exp_labels: Readonly<Record<string, string>>;
}
interface RuleTest {
  readonly interval: string;
  readonly input_series: readonly { readonly series: string; readonly values: string }[];
  readonly alert_rule_test: readonly {
    readonly eval_time: string;
    readonly alertname: string;
    readonly exp_alerts: readonly Expected[];
  }[];
}

const RULES: readonly Rule[] = FILES.flatMap((file) => {
  const { groups } = parse(readFileSync(join(ALERTS, file), 'utf8')) as { groups: { rules: Rule[] }[] };
  return groups.flatMap(({ rules }) => rules.map((rule) => ({ ...rule, file })));
});

const testsOf = (file: string): readonly RuleTest[] =>
  (parse(readFileSync(join(ALERTS, 'tests', file), 'utf8')) as { tests: RuleTest[] }).tests;

/** A series as an environment has it. */
const seriesIn = (namespace: string, series: string): string => {
  const added = `namespace="${namespace}",job="jetledger"`;
  return series.includes('{') ? series.replace('{', `{${added},`) : `${series}{${added}}`;
};

/** The tests of a file with each alert that fires in production while staging is well, both seen by one Prometheus. */
function inTwoEnvironments(file: string): readonly object[] {
  const tests = testsOf(file);
  return RULES.filter((rule) => rule.file === file).flatMap(({ alert }) => {
    const one = (fires: boolean) =>
      tests.find(
        ({ alert_rule_test: [only] }) => only?.alertname === alert && only.exp_alerts.length > 0 === fires,
      );
    const [sick, well] = [one(true), one(false)];
    // Nothing at all is what fires then, which is nowhere in particular.
    if (sick === undefined || well === undefined || alert === 'JetLedgerAbsent') return [];
    const inputs = { production: sick.input_series, staging: well.input_series };
    return {
      interval: sick.interval,
      input_series: Object.entries(inputs).flatMap(([namespace, all]) =>
        all.map(({ series, values }) => ({ series: seriesIn(namespace, series), values })),
      ),
      alert_rule_test: sick.alert_rule_test.map((expected) => ({
        ...expected,
        exp_alerts: expected.exp_alerts.map((each) => ({
          ...each,
          exp_labels: { ...each.exp_labels, namespace: 'production', job: 'jetledger' },
        })),
      })),
    };
  });
}

/** The anchors of a document's headings, as they are made where it is shown. */
function anchorsOf(markdown: string): Set<string> {
  const headings = markdown.split('\n').flatMap((line) => /^#+ (.+)$/.exec(line)?.[1] ?? []);
  return new Set(
    headings.map((text) =>
      text
        .toLowerCase()
        .replace(/[^\w\- ]/g, '')
        .replace(/ /g, '-'),
    ),
  );
}

const found = await findPromtool();
const { path } = found;
// Never silently: in the CI a missing promtool is a failure.
const inCi = (process.env.CI ?? '') !== '';
const needed = path !== undefined || inCi;
const reason = path === undefined ? ` (NOT RUN, there is no promtool: ${found.missing})` : '';

async function promtool(...args: string[]): Promise<string> {
  if (path === undefined) throw new Error(`there is no promtool: ${found.missing}`);
  return run(path, args).then(
    ({ stdout, stderr }) => stdout + stderr,
    ({ stdout, stderr }: { stdout: string; stderr: string }) => `FAILED ${stdout}${stderr}`,
  );
}

describe(`the alert rules under the real promtool${reason}`, () => {
  it.runIf(needed)('are valid', async () => {
    const told = await promtool('check', 'rules', ...FILES.map((file) => join(ALERTS, file)));
    expect(told).not.toContain('FAILED');
    expect([...told.matchAll(/SUCCESS: (\d+) rules/g)].reduce((sum, [, n]) => sum + Number(n), 0)).toBe(
      RULES.length,
    );
  });

  it.runIf(needed).each(FILES)('fire and stay silent as the tests of %s say', async (file) => {
    expect(await promtool('test', 'rules', join(ALERTS, 'tests', file))).toMatch(/SUCCESS\s*$/);
  });

  it.runIf(needed).each(FILES)('of %s fire for one environment while another one is well', async (file) => {
    const folder = await mkdtemp(join(tmpdir(), 'jetledger-alerts-'));
    const told = async (rules: string) => {
      await writeFile(join(folder, file), rules);
      const tests = inTwoEnvironments(file);
      const own = { rule_files: [file], evaluation_interval: '1m', tests };
      await writeFile(join(folder, 'tests.yaml'), stringify(own));
      return { count: tests.length, told: await promtool('test', 'rules', join(folder, 'tests.yaml')) };
    };
    try {
      const rules = await readFile(join(ALERTS, file), 'utf8');
      const right = await told(rules);
      expect(right.count).toBeGreaterThanOrEqual(RULES.filter((rule) => rule.file === file).length - 1);
      expect(right.told).toMatch(/SUCCESS\s*$/);
      const mixed = rules.replaceAll('namespace, job, ', '').replaceAll(/by \(namespace, job\)/g, '');
      expect((await told(mixed)).told).toContain('FAILED');
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it.runIf(needed)('would be found out with a wrong threshold', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'jetledger-alerts-'));
    try {
      const rules = await readFile(join(ALERTS, 'nats.yaml'), 'utf8');
      const tests = await readFile(join(ALERTS, 'tests/nats.yaml'), 'utf8');
      await writeFile(join(folder, 'nats.yaml'), rules.replace('> 0.8', '> 0.95'));
      await writeFile(join(folder, 'tests.yaml'), tests.replace('../nats.yaml', 'nats.yaml'));
      expect(await promtool('test', 'rules', join(folder, 'tests.yaml'))).toContain('FAILED');
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it.runIf(needed)('and the Prometheus configuration that loads them are valid together', async () => {
    const config = join(ROOT, 'configs/observability/prometheus.yaml');
    expect(await promtool('check', 'config', '--syntax-only', config)).toContain('SUCCESS');
  });
});

describe('every alert rule', () => {
  it('is there for what an operator must know', () => {
    expect(RULES.length).toBeGreaterThanOrEqual(12);
    expect(new Set(RULES.map(({ alert }) => alert)).size).toBe(RULES.length);
  });

  it.each(RULES)(
    '$alert has a test in which it fires and one in which it stays silent',
    ({ alert, file }) => {
      const own = testsOf(file)
        .flatMap((test) => test.alert_rule_test)
        .filter((test) => test.alertname === alert);
      expect(own.some(({ exp_alerts }) => exp_alerts.length > 0)).toBe(true);
      expect(own.some(({ exp_alerts }) => exp_alerts.length === 0)).toBe(true);
    },
  );

  it.each(RULES)(
    '$alert says how bad it is and leads to its entry in the runbook',
    ({ labels, annotations }) => {
      expect(labels.severity).toMatch(/^(critical|warning)$/);
      expect(annotations.summary).toBeTruthy();
      const [page = '', anchor = ''] = (annotations.runbook_url ?? '').split('#');
      expect(page).toBe('{{ $externalLabels.runbooks }}docs/runbook.md');
      expect(anchorsOf(readFileSync(join(ROOT, 'docs/runbook.md'), 'utf8'))).toContain(anchor);
    },
  );
});
