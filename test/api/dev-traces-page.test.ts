import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { memoryService } from '../support/memory-service.ts';

const FOLDER = fileURLToPath(new URL('../../src/api/dev-page', import.meta.url));
const FILES = readdirSync(FOLDER).filter((name) => name !== 'README.md');
const ID = 'a'.repeat(32);
const devTraces = { list: () => [], trace: () => undefined };

it('where no traces are kept, as in production, the page and its files are unknown routes', async () => {
  await using service = await memoryService();
  const assets = FILES.map((name) => `/dev/assets/${name}`);
  for (const url of ['/dev/traces', `/dev/traces/${ID}`, '/dev/traces.json', ...assets]) {
    const response = await service.app.inject(url);
    expect([url, response.statusCode, response.json().code]).toEqual([url, 404, 'route/not-found']);
  }
});

it('the page may load its own files and nothing else, and nothing written into it runs', async () => {
  await using service = await memoryService({ override: { devTraces } });
  for (const url of ['/dev/traces', `/dev/traces/${ID}`, `/dev/traces?trace=${ID}`]) {
    const { statusCode, headers, body } = await service.app.inject(url);
    expect(statusCode).toBe(200);
    expect(headers['content-type']).toBe('text/html; charset=utf-8');
    expect(headers['content-security-policy']).toMatch(/^default-src 'none'; script-src 'self'; /);
    expect(headers['content-security-policy']).not.toContain('unsafe');
    expect(headers['x-content-type-options']).toBe('nosniff');
    const assets = [...body.matchAll(/(?:href|src)="(\/dev\/assets\/[^"]+)"/g)].map(
      ([, asset = '']) => asset,
    );
    expect(assets).toHaveLength(2);
    expect(body).not.toMatch(/<script>|<style|\sstyle=|https?:/);
  }
});

it('every file of the page is served with its type, and imports only what is served', async () => {
  await using service = await memoryService({ override: { devTraces } });
  const assets = FILES.filter((name) => !name.endsWith('.html'));
  expect(assets.length).toBeGreaterThan(2);
  for (const name of assets) {
    const { statusCode, headers, body } = await service.app.inject(`/dev/assets/${name}`);
    expect([name, statusCode]).toEqual([name, 200]);
    const type = name.endsWith('.css') ? 'text/css' : 'text/javascript';
    expect(headers['content-type']).toBe(`${type}; charset=utf-8`);
    for (const [, imported = ''] of body.matchAll(/from '\.\/([^']+)'/g)) expect(assets).toContain(imported);
  }
});

it('no script of the page turns text into markup or code', () => {
  for (const name of FILES.filter((each) => each.endsWith('.js'))) {
    const text = readFileSync(`${FOLDER}/${name}`, 'utf8');
    expect([
      name,
      /\b(inner|outer)HTML\b|insertAdjacentHTML|document\.write|\beval\(|new Function/.test(text),
    ]).toEqual([name, false]);
  }
});
