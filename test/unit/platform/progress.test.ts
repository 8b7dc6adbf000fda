import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { pacedProgress } from '../../../src/platform/nats-server/resolve.ts';

describe('progress while something is fetched', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('tells a new step at once, and its news every two seconds, also when there is none', () => {
    const lines: string[] = [];
    const progress = pacedProgress((line) => lines.push(line), 'x');
    progress.report('downloading: 0.1 MB');
    progress.report('downloading: 0.2 MB');
    vi.advanceTimersByTime(2_000);
    progress.report('downloading: 3.0 MB');
    vi.advanceTimersByTime(4_000);
    progress.report('unpacking');
    progress.stop();
    vi.advanceTimersByTime(10_000);
    expect(lines).toEqual([
      'x: downloading: 0.1 MB',
      'x: downloading: 0.2 MB (2 s)',
      'x: downloading: 3.0 MB (4 s)',
      'x: downloading: 3.0 MB (6 s)',
      'x: unpacking',
    ]);
  });
});
