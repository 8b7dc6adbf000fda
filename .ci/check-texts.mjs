// Checks what no other tool looks at: names of package registries and mirrors, paths of somebody's machine,
// marks of unfinished work, pages that code names and that are not there, and tests that run alone or not at all. Of every file that is in git or could be added.
//   node .ci/check-texts.mjs [folder]   this repository unless another folder is given
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(process.argv[2] ?? fileURLToPath(new URL('..', import.meta.url)));
const SELF = '.ci/check-texts.mjs';
const IGNORED = new Set([
  '.git',
  'node_modules',
  'dist',
  'coverage',
  'reports',
  '.jetledger',
  '.stryker-tmp',
]);
const CODE = /^(src|test|proto|configs|deploy|\.ci)\/|^[^/]+$/;

const escaped = (text) => new RegExp(text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));

const rules = [
  {
    what: 'the host of a package registry or mirror',
    pattern:
      /registry\.(npmjs|yarnpkg)|npmmirror|npm\.pkg\.github|jsr\.io\/|(deb|ftp|snapshot|archive)\.(debian|ubuntu)\.|proxy\.golang|pypi\.org|artifactory|\bnexus[.-]/i,
  },
  { what: 'a path of one machine', pattern: /(?<![\w.~-])\/(home|Users|root|work)\/[\w.-]+/ },
  { what: 'a to-do', pattern: /\b(TODO|FIXME)\b/, only: CODE },
  {
    what: 'a test that runs alone or not at all',
    pattern: /\b(it|test|describe)(\.\w+)*\.(only|skip|todo)\b|\b[fx](it|describe)\(/,
    only: /^test\//,
  },
  {
    what: 'a page that is not there',
    pattern: { test: namesNoPage },
    only: /^(src|proto|configs|deploy|\.ci)\//,
  },
  { what: 'a download address in the lockfile', pattern: /"resolved": "http/, only: /^package-lock\.json$/ },
  ...ownPlaces().map((place) => ({ what: 'a name of this machine', pattern: escaped(place) })),
];

/** Of the pages that a line sends its reader to, whether one is missing; links in pages are followed by the tests. */
function namesNoPage(line) {
  return [...line.matchAll(/(?<![\w/])docs\/[\w/-]+\.md/g)].some(([page]) => !existsSync(join(root, page)));
}

/** What would give this machine away: its folders, and the registry that npm is set to. */
function ownPlaces() {
  const { stdout } = spawnSync('npm', ['config', 'get', 'registry'], { cwd: root, encoding: 'utf8' });
  const registry = URL.canParse(stdout?.trim() ?? '') ? [new URL(stdout.trim()).hostname] : [];
  return [root, homedir(), ...registry].filter(
    (place) => place.length > 5 && !/^(localhost|127\.)/.test(place),
  );
}

function filesOf(folder, prefix = '') {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const name = `${prefix}${entry.name}`;
    if (IGNORED.has(entry.name)) return [];
    return entry.isDirectory() ? filesOf(join(folder, entry.name), `${name}/`) : [name];
  });
}

function candidates() {
  const git = spawnSync('git', ['ls-files', '-co', '--exclude-standard', '-z'], {
    cwd: root,
    encoding: 'utf8',
  });
  // Without git, or outside of a repository, everything that is not ignored.
  const listed = git.status === 0 ? git.stdout.split('\0').filter(Boolean) : filesOf(root);
  return listed.filter((name) => name !== SELF && existsSync(join(root, name)));
}

const files = candidates();
let problems = 0;
for (const name of files) {
  const text = readFileSync(join(root, name), 'utf8');
  if (text.includes('\0')) continue;
  const asked = rules.filter((rule) => rule.only === undefined || rule.only.test(name));
  for (const [index, line] of text.split('\n').entries()) {
    for (const rule of asked) {
      if (!rule.pattern.test(line)) continue;
      problems++;
      process.stdout.write(`${name}:${index + 1}: ${rule.what}: ${line.trim().slice(0, 120)}\n`);
    }
  }
}
process.stdout.write(`${files.length} files, ${problems} problems\n`);
process.exit(problems > 0 || files.length === 0 ? 1 : 0);
