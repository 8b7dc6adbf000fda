import { describe, expect, it } from 'vitest';
import { configDir, loadConfig } from '../../../src/platform/config/load.ts';
import { createLogger, wantsPretty } from '../../../src/platform/logger.ts';

const DEVELOPMENT = loadConfig({ env: {}, dir: configDir({}) });
const TEST = loadConfig({ env: { JETLEDGER_ENV: 'test' }, dir: configDir({}) });

function collector() {
  const lines: Record<string, unknown>[] = [];
  return { lines, write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) };
}

describe('the logger', () => {
  it('masks personal data and secrets at the top and two levels down', () => {
    const destination = collector();
    createLogger(DEVELOPMENT, { destination }).info({
      email: 'ada@example.org',
      user: { name: 'Ada', userId: 'u1' },
      req: { headers: { authorization: 'Bearer x' } },
    });
    expect(destination.lines[0]).toMatchObject({
      email: '***',
      user: { name: '***', userId: 'u1' },
      req: { headers: { authorization: '***' } },
      service: 'jetledger',
    });
  });

  it('writes nothing below the configured level', () => {
    const destination = collector();
    const logger = createLogger(TEST, { destination });
    logger.info('not this');
    logger.warn('this');
    expect(destination.lines.map((line) => line.msg)).toEqual(['this']);
  });

  it('adds the fields of the mixin to each line', () => {
    const destination = collector();
    createLogger(DEVELOPMENT, { destination, mixin: () => ({ trace_id: 't1' }) }).info('hello');
    expect(destination.lines[0]).toMatchObject({ trace_id: 't1', msg: 'hello' });
  });

  it('makes lines for people at a terminal in development, or when asked to', () => {
    const always = { ...TEST, logging: { ...TEST.logging, pretty: 'always' } } as const;
    expect(wantsPretty(DEVELOPMENT, true)).toBe(true);
    expect(wantsPretty(DEVELOPMENT, false)).toBe(false);
    expect(wantsPretty({ ...DEVELOPMENT, environment: 'production' }, true)).toBe(false);
    expect(wantsPretty(TEST, true)).toBe(false);
    expect(wantsPretty(always, false)).toBe(true);
  });
});
