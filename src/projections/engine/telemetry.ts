import { type Link, SpanKind, type Tracer } from '@opentelemetry/api';
import {
  ATTRIBUTES,
  contextOf,
  isSampled,
  messaging,
  parseTrace,
  type RecordedCommit,
} from '../../eventstore/index.ts';

/** Runs the handing out of a commit to views. */
export type AroundCommit = (
  commit: RecordedCommit,
  views: readonly { readonly projection: { readonly name: string } }[],
  run: () => void,
) => void;

/**
 * A CONSUMER span for each commit whose own trace is sampled, in that trace: one for all views together. It ends when
 * the views have taken the commit in; their rows are written afterwards, many at a time.
 * @param prefix first token of the log's subjects
 */
export function traceCommits({ tracer, prefix }: { tracer: Tracer; prefix: string }): AroundCommit {
  return (commit, views, run) => {
    const links = sampledLinks(commit);
    const [first] = links;
    if (first === undefined) return run();
    const { category, id } = commit.stream;
    const kind = SpanKind.CONSUMER;
    const span = tracer.startSpan(`project ${category}`, { kind, links }, contextOf(first.context));
    run();
    span.setAttributes(
      messaging('process', `${prefix}.${category}`, {
        'messaging.consumer.group.name': 'projections',
        [ATTRIBUTES.aggregateId]: id,
        [ATTRIBUTES.position]: commit.position,
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
