import { fileURLToPath } from 'node:url';
import { configDefaults, defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { plainIndexThread } from './test/support/index-thread.ts';
import tsconfig from './tsconfig.json' with { type: 'json' };

// .ci/run reads its counts from this file.
const report = process.env.VITEST_JSON_REPORT;

/** The doors of the kernel by the names that its users import. */
const doors = Object.entries(tsconfig.compilerOptions.paths).map(([name, [path = '']]) => ({
  find: new RegExp(`^${name}$`),
  replacement: fileURLToPath(new URL(path, import.meta.url)),
}));

/** Folders whose files take longest, longest first. */
const LONGEST = ['e2e', 'simulation', 'integration', 'contract', 'property', 'api'];

/** Long files begin first: one that begins last is waited for alone. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rankOf = ({ moduleId }: TestSpecification): number => {
      const rank = LONGEST.findIndex((folder) => moduleId.includes(`/test/${folder}/`));
      return rank === -1 ? LONGEST.length : rank;
    };
    return (await super.sort(files)).toSorted((a, b) => rankOf(a) - rankOf(b));
  }
}

export default defineConfig({
  resolve: { alias: doors },
  plugins: [plainIndexThread()],
  test: {
    include: ['test/**/*.test.ts'],
    // Measurements and long audits have commands of their own; fixtures run in the copy that they are put into.
    exclude: [
      ...configDefaults.exclude,
      'test/audit/**',
      'test/bench/**',
      'test/scale/**',
      'test/fixtures/**',
    ],
    globalSetup: ['test/support/global-setup.ts'],
    // Each process runs many files: with one for each file a fifth of the time went into loading the sources again.
    // Four fit two cores, since a test with servers of its own waits half of its time.
    pool: 'forks',
    isolate: false,
    sequence: { sequencer: LongestFirst },
    maxWorkers: 4,
    // What a test waits for has bounds of its own; these only end one that hangs, also on a busy machine.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    teardownTimeout: 10_000,
    slowTestThreshold: 2_000,
    reporters: report === undefined ? ['default'] : ['default', ['json', { outputFile: report }]],
    coverage: { provider: 'v8', include: ['src/**/*.ts'], exclude: ['src/gen/**'] },
  },
});
