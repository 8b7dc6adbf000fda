import { type Link, SpanKind, type Tracer } from '@opentelemetry/api';
import {
  ATTRIBUTES,
  contextOf,
  endFailed,
  isSampled,
  messaging,
  numberOf,
  parseTrace,
  type RecordedCommit,
} from '../../../eventstore/index.ts';
import type { ProjectionObserver } from '../observer.ts';

interface TraceOptions {
  readonly tracer: Tracer;
  /** First token of the log's subjects. */
  readonly prefix: string;
}

/** Spans for what the views take in, and one for each rebuild. */
export function traceProjections(options: TraceOptions): ProjectionObserver {
  return { aroundCommit: traceCommits(options), aroundRebuild: traceRebuilds(options) };
}

/**
 * A CONSUMER span for each commit whose own trace is sampled, in that trace: one for all views together. It ends when
 * the views have taken the commit in; their rows are written afterwards, many at a time.
 */
function traceCommits({ tracer, prefix }: TraceOptions): NonNullable<ProjectionObserver['aroundCommit']> {
  return (handed, run) => {
    const { commit, views } = handed;
    const links = sampledLinks(commit);
    const [first] = links;
    if (first === undefined) return run(handed);
    const { category, id } = commit.stream;
    const kind = SpanKind.CONSUMER;
    const span = tracer.startSpan(`project ${category}`, { kind, links }, contextOf(first.context));
    run(handed);
    span.setAttributes(
      messaging('process', `${prefix}.${category}`, {
        'messaging.consumer.group.name': 'projections',
        [ATTRIBUTES.aggregateId]: id,
        [ATTRIBUTES.position]: numberOf(commit.position),
        [ATTRIBUTES.views]: [...new Set(views.map(({ projection }) => projection.name))],
      }),
    );
    span.end();
  };
}

/** The traces of the decisions that are sampled. What cannot be decoded has none: the views say what is wrong with it. */
function sampledLinks(commit: RecordedCommit): Link[] {
  try {
    const links: Link[] = [];
    for (const { traceparent, tracestate } of commit.decisions) {
      if (!traceparent.endsWith('1')) continue;
      const context = parseTrace({ traceparent, tracestate });
      if (context !== undefined && isSampled(context)) links.push({ context });
    }
    return links;
  } catch {
    return [];
  }
}

/** A span of its own trace for the filling of a bucket, with how much of the log went through it. */
function traceRebuilds({ tracer }: TraceOptions): NonNullable<ProjectionObserver['aroundRebuild']> {
  return async (rebuild, run) => {
    const { view, progress } = rebuild;
    const span = tracer.startSpan(`rebuild ${view}`, { root: true });
    const counts = () => ({
      [ATTRIBUTES.view]: view,
      'jetledger.rebuild.position': progress()?.applied ?? 0,
      'jetledger.rebuild.head': progress()?.total ?? 0,
      'jetledger.rebuild.events_per_second': Math.round(progress()?.eventsPerSecond ?? 0),
    });
    try {
      const result = await run(rebuild);
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
  };
}
