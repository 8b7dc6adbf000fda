import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const KERNEL = 'src/processes/engine';
const SERVICE = 'src/service';

/** Folder, line, the word that is refused in it, the word that is to be used. */
const REFUSED = [
  [KERNEL, 'const keepers = [];', 'keepers', 'assignment'],
  [KERNEL, 'function readBoard() {}', 'board', 'membership'],
  [KERNEL, 'const bell = createSignal();', 'bell', 'signal'],
  [KERNEL, '/** What an occasion has. */', 'occasion', 'effect context'],
  [SERVICE, 'const viewStandings = [];', 'standings', 'report'],
  [KERNEL, '// It is of another life of the log.', 'another life', 'incarnation'],
  [KERNEL, 'const life = log.incarnation;', 'life', 'incarnation'],
  [KERNEL, '/** The lean way. */', 'lean', 'fast path'],
  [KERNEL, "throw new Error('The event was put aside.');", 'aside', 'dead letter'],
  [KERNEL, 'lane.isSpilled = true;', 'spilled', 'dead letter'],
  [KERNEL, '/** The parked commits of an aggregate. */', 'parked', 'dead letter'],
  [KERNEL, 'view.hurry(position);', 'hurry', 'checkpoint'],
  [KERNEL, 'await view.relieved();', 'relieved', 'back pressure'],
  [KERNEL, 'function buildBeside() {}', 'beside', 'rebuild'],
  [KERNEL, 'const telling = observe();', 'telling', 'report'],
  ['src/eventstore', 'class CommandLane {}', 'lane', 'command queue'],
  [SERVICE, 'function buildFront(core: Core) {}', 'front', 'composition'],
  [KERNEL, 'const result = await perform(task);', 'perform', 'executed'],
  [KERNEL, 'if (disowned) return;', 'disowned', 'owner'],
  [SERVICE, 'const surroundings = {};', 'surroundings', 'composition'],
] as const;

/** Where users or stored data have the word, and where the sentence means another thing. */
const ALLOWED = [
  [KERNEL, "tell('parked', error);"],
  [KERNEL, 'const bucket = buckets.parked;'],
  [KERNEL, 'const started = performance.now();'],
  [KERNEL, '/** True when the process lives; it stands beside another. */'],
  [KERNEL, "import { a } from './perform.ts';"],
  ['src/cli', '/** The parked events of a consumer. */'],
  [KERNEL, 'const lanes = new Map();'],
  [SERVICE, "const detail = 'standing still';"],
] as const;

function check(...folder: string[]) {
  const tool = join(ROOT, '.ci/check-words.mjs');
  const { status, stdout } = spawnSync(process.execPath, [tool, ...folder], { encoding: 'utf8' });
  return { exitCode: status, output: stdout.trim().split('\n') };
}

describe('the words of src', () => {
  let folder: string;
  let planted: ReturnType<typeof check>;
  let glossary: string;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'jetledger-words-'));
    for (const [index, [place, line]] of [...REFUSED, ...ALLOWED].entries()) {
      const path = join(folder, place, `planted-${index}.ts`);
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, `${line}\n`);
    }
    planted = check(folder);
    glossary = await readFile(join(ROOT, 'docs/glossary.md'), 'utf8');
  }, 60_000);

  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('are those of the glossary', { timeout: 60_000 }, () => {
    const { exitCode, output } = check();
    expect(output).toEqual([expect.stringMatching(/^\d{3} files, 0 problems$/)]);
    expect(exitCode).toBe(0);
  });

  it.each(REFUSED.map((row, index) => [...row, index] as const))(
    'are refused otherwise, in %s: %s',
    (place, line, old, word, index) => {
      const problem = `${place}/planted-${index}.ts:1: for "${old}" say ${word}: ${line}`;
      expect(planted.output).toContain(problem);
      expect(glossary).toMatch(new RegExp(`\\b${word}`));
    },
  );

  it('are refused nowhere else', () => {
    const refusedIn = planted.output
      .filter((line) => line.includes('/planted-'))
      .map((line) => line.split(':')[0]);
    expect([...new Set(refusedIn)]).toHaveLength(REFUSED.length);
    expect(planted.output.at(-1)).toBe(
      `${REFUSED.length + ALLOWED.length} files, ${refusedIn.length} problems`,
    );
    expect(planted.exitCode).toBe(1);
  });
});
