import type { ViewSituation, ViewsAdmin } from '../../api/operators/ports.ts';
import { isStreamMissing, type Log, managerOf, numberOf } from '../../eventstore/index.ts';
import type { Config } from '../../platform/config/schema.ts';
import { readDeadLetterRows } from '../../projections/engine/index.ts';
import type { Nats } from '../open.ts';
import { views } from '../shop.ts';
import { type ViewReport, viewReports } from '../status.ts';
import { bucketsOf } from '../with-nats.ts';

/** The views for operators, from what they have stored: whichever process keeps them. */
export function createViewsAdmin(config: Config, nats: Nats, log: Log): ViewsAdmin {
  const buckets = bucketsOf(config, nats.viewRequests);

  const rowsOf = async (bucket: string, groups: number): Promise<number> => {
    const jsm = await managerOf(nats.viewRequests);
    const { state } = await jsm.streams.info(`KV_${bucket}`);
    // Each group has a row of its own for how far it is.
    return Math.max(0, (state.num_subjects ?? 0) - groups);
  };
  const completed = async (report: ViewReport): Promise<ViewSituation> => {
    const { bucket: name, groups = 1 } = report;
    const bucket = name === undefined || report.state === 'lost' ? undefined : await buckets.open(name);
    if (name === undefined || bucket === undefined) return { ...report, parked: [] };
    const count = groups as Parameters<typeof readDeadLetterRows>[1];
    const [parked, rows] = await Promise.all([
      readDeadLetterRows(bucket, count),
      rowsOf(name, groups).catch((error: unknown) => {
        if (isStreamMissing(error)) return 0;
        throw error;
      }),
    ]);
    const shown = parked.map(({ key, position, reason }) => ({
      id: key,
      position: numberOf(position),
      reason,
    }));
    return { ...report, rows, parked: shown };
  };
  return {
    names: views.map(({ name }) => name),
    list: async () => Promise.all((await viewReports(config, nats, log)).map(completed)),
  };
}
