// Runs the steps of deploy/Dockerfile without Docker: what it copies, in a clean folder, its RUN, and what comes out of
// it as another user, from files that nobody may write. A minute or two, mostly npm.
//   npm run image:check
import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const NOBODY = 65_534;
const READY_MS = 60_000;
const EMBEDDED = join(ROOT, '.jetledger/nats-server');

const work = mkdtempSync(join(tmpdir(), 'jetledger-image-'));
const [sources, app, data] = ['src', 'app', 'data'].map((name) => join(work, name));
const say = (line) => process.stdout.write(`${line}\n`);

/** The instructions of a Dockerfile, stage by stage. */
function stagesOf(text) {
  const stages = [];
  for (const line of text.replaceAll('\\\n', ' ').split('\n')) {
    const [, name, rest] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? [];
    if (name === 'FROM') stages.push([]);
    else if (name !== undefined) stages.at(-1).push({ name, rest });
  }
  return stages;
}

function run(command, args, options) {
  const done = spawnSync(command, args, { stdio: ['ignore', 'inherit', 'inherit'], ...options });
  if (done.status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${done.status}`);
}

function build(steps) {
  mkdirSync(sources);
  for (const { name, rest } of steps) {
    const words = rest.split(/\s+/);
    if (name === 'COPY') {
      const target = join(sources, words.at(-1));
      for (const path of words.slice(0, -1)) {
        const isFolder = statSync(join(ROOT, path)).isDirectory();
        const into = isFolder ? target : join(target, path.split('/').at(-1));
        cpSync(join(ROOT, path), into, { recursive: true });
      }
    }
    if (name === 'RUN') run('/bin/sh', ['-c', rest.replaceAll('/app', app)], { cwd: sources });
  }
}

function readOnly(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath ?? entry.path, entry.name);
    if (!entry.isSymbolicLink()) chmodSync(path, entry.isDirectory() ? 0o555 : statSync(path).mode & 0o555);
  }
  chmodSync(folder, 0o555);
}

function bytesOf(folder) {
  const entries = readdirSync(folder, { withFileTypes: true, recursive: true });
  const files = entries.filter((entry) => entry.isFile());
  return files.reduce(
    (sum, { parentPath, path, name }) => sum + statSync(join(parentPath ?? path, name)).size,
    0,
  );
}

/** Another user, where this one may become another; the files are read-only for both. */
const user = process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};

async function serve(env) {
  const service = spawn(process.execPath, ['dist/cli/jetledger.js', 'serve'], {
    cwd: app,
    env,
    stdio: ['ignore', 'inherit', 'inherit'],
    ...user,
  });
  const ended = new Promise((resolve) => service.once('exit', (code) => resolve(code)));
  try {
    const deadline = Date.now() + READY_MS;
    const healthy = () =>
      spawnSync(process.execPath, ['deploy/healthcheck.mjs'], { cwd: app, env, ...user }).status === 0;
    while (!healthy()) {
      if (service.exitCode !== null || Date.now() > deadline) throw new Error('the service did not answer');
      await delay(250);
    }
    say('the health check of the image says yes');
  } finally {
    service.kill('SIGTERM');
  }
  const code = await ended;
  if (code !== 0) throw new Error(`the service ended with ${code}`);
}

try {
  const [first] = stagesOf(readFileSync(join(ROOT, 'deploy/Dockerfile'), 'utf8'));
  build(first);
  const size = Math.round(bytesOf(app) / 1_048_576);
  say(`built: ${size} MB, ${readdirSync(app).sort().join(' ')}`);
  readOnly(app);
  chmodSync(work, 0o755);
  mkdirSync(data);
  chmodSync(data, 0o777);
  run(process.execPath, ['dist/cli/jetledger.js', 'help'], { cwd: app, env: {}, stdio: 'ignore', ...user });
  const [version] = readdirSync(EMBEDDED).filter((name) => /^\d/.test(name));
  // A copy that the other user can reach.
  cpSync(join(EMBEDDED, version, 'nats-server'), join(work, 'nats-server'));
  chmodSync(join(work, 'nats-server'), 0o755);
  await serve({
    PATH: process.env.PATH,
    PORT: '3977',
    JETLEDGER_ENV: 'development',
    JETLEDGER_NATS__EMBEDDED__DATA_DIR: data,
    JETLEDGER_NATS__EMBEDDED__BINARY: join(work, 'nats-server'),
  });
  say('the image works from read-only files');
} finally {
  if (process.getuid?.() !== 0) spawnSync('chmod', ['-R', 'u+w', work]);
  rmSync(work, { recursive: true, force: true });
}
