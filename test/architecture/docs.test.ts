import { access, readdir, readFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { CATALOGUE } from '../../src/cli/catalogue.ts';
import { CONFIG_KEYS, KEYS_BY_NAME, SECTION_NAMES } from '../../src/platform/config/keys.ts';
import { readVariableLayer } from '../../src/platform/config/layers.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PAGES_AT_THE_TOP = ['README.md', 'SECURITY.md', 'CONTRIBUTING.md'];
/** Keys of NATS and of tools that are written like ours, and names of files. */
const NOT_OURS =
  /\.(ts|js|mjs|md|yaml|yml|json|conf|env|pem|key|nk|proto|com)$|^console\.log$|^log\.(append|head|at|scan)\b/;
/** Variables that are no settings: which file of settings, and the public keys in the environment of nats-server. */
const OTHER_VARIABLES = /^JETLEDGER_(ENV|CONFIG_DIR|NKEY_\w+)$/;

interface Page {
  readonly path: string;
  readonly text: string;
  /** What stands in code, in a line or in a block. */
  readonly code: readonly string[];
}

async function pages(): Promise<Page[]> {
  const docs = (await readdir(join(ROOT, 'docs'), { recursive: true })).filter((name) =>
    name.endsWith('.md'),
  );
  const paths = [...PAGES_AT_THE_TOP, ...docs.map((name) => join('docs', name))];
  return Promise.all(
    paths.map(async (path) => {
      const text = await readFile(join(ROOT, path), 'utf8');
      const blocks = [...text.matchAll(/^```[^\n]*\n([\s\S]*?)^```/gm)].map(([, code]) => code ?? '');
      const spans = [...withoutBlocks(text).matchAll(/`([^`\n]+)`/g)].map(([, code]) => code ?? '');
      return { path, text, code: [...blocks, ...spans] };
    }),
  );
}

const withoutBlocks = (text: string): string => text.replaceAll(/^```[\s\S]*?^```/gm, '');

/** The anchors of a page, as the places that show Markdown make them of its headings. */
function anchorsOf(text: string): Set<string> {
  const headings = [...withoutBlocks(text).matchAll(/^#+ (.+)$/gm)].map(([, heading]) => heading ?? '');
  return new Set(
    headings.map((heading) =>
      heading
        .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
        .trim()
        .replaceAll(' ', '-'),
    ),
  );
}

async function problemOf({ path, text }: Page, link: string): Promise<string | undefined> {
  const [file = '', anchor] = link.split('#');
  const target = file === '' ? join(ROOT, path) : resolve(ROOT, dirname(path), file);
  try {
    await access(target);
  } catch {
    return `${path}: ${link}`;
  }
  if (anchor === undefined || !target.endsWith('.md')) return undefined;
  const found = file === '' ? text : await readFile(target, 'utf8');
  return anchorsOf(found).has(anchor) ? undefined : `${path}: ${link}`;
}

const found = (all: readonly Page[], pattern: RegExp): { path: string; name: string }[] =>
  all.flatMap(({ path, code }) =>
    code.flatMap((text) => [...text.matchAll(pattern)].map(([, name = '']) => ({ path, name }))),
  );

describe('every page of the documentation', () => {
  it('links to files and headings that exist', async () => {
    const all = await pages();
    const checks = all.flatMap((page) =>
      [...withoutBlocks(page.text).matchAll(/\]\(([^)\s]+)\)/g)]
        .map(([, link = '']) => link)
        .filter((link) => !/^[a-z]+:/.test(link))
        .map((link) => problemOf(page, link)),
    );
    expect(checks.length).toBeGreaterThan(70);
    expect((await Promise.all(checks)).filter((problem) => problem !== undefined)).toEqual([]);
    const [page] = all;
    expect(page && (await problemOf(page, 'docs/nothing.md'))).toBe('README.md: docs/nothing.md');
    expect(page && (await problemOf(page, 'docs/backup.md#nothing'))).toBe(
      'README.md: docs/backup.md#nothing',
    );
  });

  it('names commands of jetledger that exist', async () => {
    const commands = new Set(CATALOGUE.map(({ name }) => name));
    const named = found(await pages(), /(?:^|[\s(`=])(?:npx )?jetledger ([a-z]+)\b(?![.:])/gm);
    expect(commands.size).toBeGreaterThan(10);
    expect(named.length).toBeGreaterThan(50);
    expect(named.filter(({ name }) => !commands.has(name) && name !== 'help')).toEqual([]);
  });

  it('names npm scripts and make targets that exist', async () => {
    const { scripts } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as { scripts: object };
    const makefile = await readFile(join(ROOT, 'Makefile'), 'utf8');
    // What the tutorial makes is a service, which has a Makefile of its own.
    const generated = await readFile(join(ROOT, 'examples/service/Makefile'), 'utf8');
    const all = await pages();
    const wrongScripts = found(all, /npm run (?:--silent )?([\w:-]+)/g).filter(
      ({ name }) => !(name in scripts),
    );
    const wrongTargets = found(all, /^make ([a-z-]+)/gm).filter(({ name, path }) => {
      const targets = path === 'docs/tutorial.md' ? generated : makefile;
      return !targets.includes(`\n${name}:`);
    });
    expect([wrongScripts, wrongTargets]).toEqual([[], []]);
  });

  it('names settings and variables that exist', async () => {
    const all = await pages();
    const sections = [...SECTION_NAMES].filter((name) => !name.includes('.')).join('|');
    const named = found(all, new RegExp(`^((?:${sections})(?:\\.[a-z]\\w*)+)(?=$|[:=])`, 'g'));
    const keys = named.filter(({ name }) => !NOT_OURS.test(name));
    expect(keys.length).toBeGreaterThan(60);
    expect(keys.filter(({ name }) => !KEYS_BY_NAME.has(name) && !SECTION_NAMES.has(name))).toEqual([]);

    const variables = found(all, /\b(JETLEDGER_[A-Z0-9_]+[A-Z0-9])\b/g).filter(
      ({ name }) => !OTHER_VARIABLES.test(name),
    );
    const known = new Set(CONFIG_KEYS.map(({ variable }) => variable));
    const unknown = variables.filter(
      ({ name }) => !known.has(name) && readVariableLayer({ [name]: 'x' }).settings.size === 0,
    );
    expect(variables.length).toBeGreaterThan(15);
    expect(unknown).toEqual([]);
  });
});
