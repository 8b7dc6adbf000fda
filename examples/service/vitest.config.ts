import { defineConfig } from 'vitest/config';

export default defineConfig({
  // Files share a process, so that what they import is loaded once.
  test: { include: ['test/**/*.test.ts'], isolate: false, testTimeout: 30_000, hookTimeout: 120_000 },
});
