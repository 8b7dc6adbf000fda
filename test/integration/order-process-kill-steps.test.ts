import { expect, it } from 'vitest';
import { runKillSteps } from '../kill-steps/run.ts';

const TIMEOUT_MS = 150_000;

// `npm run kill-steps` tries every point; here is one of every so many, on each path.
it(
  'an order comes to its end, to the cent, whichever call its worker is killed at',
  async () => {
    const report = await runKillSteps({ every: 27, workers: 2 });
    expect(report).toMatchObject({ missed: [], parked: [], refused: [], violations: [] });
    expect(report.points).toBeGreaterThan(150);
    expect(report.deaths).toBe(report.tried.length);
  },
  TIMEOUT_MS,
);
