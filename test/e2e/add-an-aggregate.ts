import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { linkPackages } from '../support/link-packages.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** What a clone does not have, and what is linked instead of copied. */
const NOT_COPIED = new Set(['.git', '.jetledger', 'coverage', 'dist', 'node_modules', 'reports']);
/** Only ends what hangs: beside other work `make fix` takes minutes. */
const COMMAND_MS = 400_000;

/** Tests in one process: each further one would load all sources again, which takes longer than few tests do. */
export const ONE_WORKER = ['npx', 'vitest', 'run', '--maxWorkers=1'] as const;

/** What a command came to; its output without colours, both streams together. */
export interface Done {
  readonly code: number | null;
  readonly output: string;
}

/** A copy of this repository to change; removed at the end. */
export interface Copy extends AsyncDisposable {
  readonly root: string;
  /** Runs a command in it, with none of this process's variables but PATH and HOME. */
  run(command: string, ...args: string[]): Promise<Done>;
  read(path: string): Promise<string>;
  /** @throws Error when it changes nothing, so that a planted omission is one */
  edit(path: string, change: (text: string) => string): Promise<void>;
  /** Does something to files of it, and brings them back afterwards. */
  without<T>(paths: readonly string[], change: () => Promise<void>, then: () => Promise<T>): Promise<T>;
}

/** Copies the working tree. The installed packages and the server program are linked. */
export async function copyRepository(): Promise<Copy> {
  const root = await mkdtemp(join(tmpdir(), 'jetledger-copy-'));
  for (const name of await readdir(ROOT)) {
    if (!NOT_COPIED.has(name)) await cp(join(ROOT, name), join(root, name), { recursive: true });
  }
  await linkPackages(root);
  await symlink(join(ROOT, '.jetledger'), join(root, '.jetledger'));
  await copyKnown(root);
  // By which make knows that everything is installed.
  await cp(join(root, 'package-lock.json'), join(root, 'node_modules/.installed-lock'));
  const read = (path: string): Promise<string> => readFile(join(root, path), 'utf8');
  return {
    root,
    run: (command, ...args) => run(root, command, args),
    read,
    edit: async (path, change) => {
      const before = await read(path);
      const after = change(before);
      if (after === before) throw new Error(`nothing was changed in ${path}`);
      await writeFile(join(root, path), after);
    },
    without: async (paths, change, then) => {
      const kept = await Promise.all(paths.map((path) => readFile(join(root, path))));
      try {
        await change();
        return await then();
      } finally {
        for (const [at, path] of paths.entries()) await writeFile(join(root, path), kept[at] ?? '');
      }
    },
    [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }),
  };
}

/**
 * What the compiler knows of the unchanged files, where it has looked at them before. It takes a linked package for
 * another file than the one that it knows, so that is where it is told of it.
 */
async function copyKnown(root: string): Promise<void> {
  const path = 'node_modules/.cache/tsconfig.tsbuildinfo';
  const known = await readFile(join(ROOT, path), 'utf8').catch(() => undefined);
  if (known === undefined) return;
  const packages = relative(dirname(join(root, path)), join(ROOT, 'node_modules'));
  await mkdir(dirname(join(root, path)));
  await writeFile(join(root, path), known.replaceAll(/"\.\.\/(?!\.)/g, `"${packages}/`));
}

/** Variables for a process of the copy. Few made-up requests are enough there: the repository's own test makes more. */
export function plainEnvironment(): Record<string, string> {
  const { PATH = '', HOME = '' } = process.env;
  return { PATH, HOME, CI: 'true', NO_COLOR: '1', FUZZ_RUNS: '20' };
}

async function run(cwd: string, command: string, args: readonly string[]): Promise<Done> {
  // A group of its own, so that a command that hangs ends with all that it started.
  const child = spawn(command, args, { cwd, env: plainEnvironment(), detached: true, stdio: 'pipe' });
  child.stdin.end();
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  const end = () => child.pid !== undefined && process.kill(-child.pid, 'SIGKILL');
  const timer = setTimeout(end, COMMAND_MS);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  }).finally(() => clearTimeout(timer));
  return { code, output };
}

/** Digests of all files of the copy, by path. */
export async function digestsOf({ root }: Copy): Promise<Map<string, string>> {
  const digests = new Map<string, string>();
  for (const top of await readdir(root, { withFileTypes: true })) {
    if (NOT_COPIED.has(top.name)) continue;
    const inside = top.isDirectory()
      ? await readdir(join(root, top.name), { recursive: true, withFileTypes: true })
      : [top];
    for (const entry of inside.filter((one) => one.isFile())) {
      const path = join(entry.parentPath, entry.name);
      const digest = createHash('sha256').update(await readFile(path));
      digests.set(path.slice(root.length + 1), digest.digest('hex'));
    }
  }
  return digests;
}

/** Puts a folder of files into the copy. */
export function addFiles({ root }: Copy, folder: URL): Promise<void> {
  return cp(fileURLToPath(folder), root, { recursive: true });
}

/** An edit that a page shows: which file, and what comes to the top of it and to the end of which of its lists. */
export function editOf(page: string): { readonly path: string; readonly apply: (text: string) => string } {
  const [, path = '', code = ''] = /<!-- edit: (\S+) -->\n```ts\n([\s\S]*?)```/.exec(page) ?? [];
  const parts = code.split(/^\/\/ at the /m).slice(1);
  return {
    path,
    apply: (text) =>
      parts.reduce((edited, part) => {
        const [where = '', ...lines] = part.trim().split('\n');
        const added = `${lines.join('\n')}\n`;
        const list = /^end of `(\w+)`$/.exec(where)?.[1];
        return list === undefined ? added + edited : atTheEnd(edited, list, added);
      }, text),
  };
}

function atTheEnd(text: string, list: string, lines: string): string {
  const start = text.search(new RegExp(`^export (const|async function) ${list}\\b`, 'm'));
  const end = text.indexOf('];', start);
  if (start === -1 || end === -1) throw new Error(`there is no list ${list}`);
  return `${text.slice(0, end).replace(/,?\s*$/, '')},\n${lines}${text.slice(end)}`;
}
