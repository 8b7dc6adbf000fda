import { trace } from '@opentelemetry/api';
import { SAYS } from '../eventstore/telemetry/attributes.ts';
import { endFailed } from '../eventstore/telemetry/spans.ts';
import { INSTRUMENTATION } from '../eventstore/trace-context.ts';
import type { RebuildProgress } from './beside.ts';

/** What a rebuild tells of itself. */
interface Telling {
  readonly onProgress: (progress: RebuildProgress) => void;
}

/** A span of its own trace for the filling of a bucket, with how much of the log went through it. */
export async function traceRebuild<T extends { readonly bucket: string; readonly switched: boolean }>(
  view: string,
  run: (telling: Telling) => Promise<T>,
): Promise<T> {
  const span = trace.getTracer(INSTRUMENTATION).startSpan(`rebuild ${view}`, { root: true });
  let last: RebuildProgress | undefined;
  const onProgress = (progress: RebuildProgress): void => {
    last = progress;
  };
  const counts = () => ({
    [SAYS.view]: view,
    'jetledger.rebuild.position': last?.applied ?? 0,
    'jetledger.rebuild.head': last?.total ?? 0,
    'jetledger.rebuild.events_per_second': Math.round(last?.eventsPerSecond ?? 0),
  });
  try {
    const result = await run({ onProgress });
    span.setAttributes({
      ...counts(),
      'jetledger.rebuild.bucket': result.bucket,
      'jetledger.rebuild.switched': result.switched,
    });
    span.end();
    return result;
  } catch (error) {
    endFailed(span, error, counts());
    throw error;
  }
}
