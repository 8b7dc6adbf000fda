import type { NatsConnection } from '@nats-io/transport-node';
import type { Log } from '../eventstore/log.ts';
import { createPlainRequests } from '../eventstore/nats/plain-requests.ts';
import { createRequests, type Requests } from '../eventstore/nats/requests.ts';
import type { Config } from '../platform/config/schema.ts';
import type { ProjectionSettings } from '../projections/settings.ts';

/** Requests on a connection, in the way that is configured. */
export function openRequests(
  connection: NatsConnection,
  nats: Pick<Config['nats'], 'leanRequests' | 'inboxPrefix'>,
): Requests {
  const create = nats.leanRequests ? createRequests : createPlainRequests;
  return create(connection, nats.inboxPrefix);
}

/** How the views are fed: as fast as they can, or, with `coalesceRows: false`, one commit at a time until it is stored. */
export function feedOfViews(
  log: Log,
  { coalesceRows }: Pick<Config['projections'], 'coalesceRows'>,
): { readonly log: Log; readonly settings: Partial<ProjectionSettings> } {
  return coalesceRows ? { log, settings: {} } : { log: oneByOne(log), settings: { maxBacklog: 1 } };
}

/** The same log, whose scans hand out single commits. */
function oneByOne(log: Log): Log {
  return {
    ...log,
    scan: async function* (options) {
      for await (const { commits, pending } of log.scan(options)) {
        if (commits.length === 0) yield { commits, pending };
        for (const [index, commit] of commits.entries()) {
          yield { commits: [commit], pending: pending + commits.length - index - 1 };
        }
      }
    },
  };
}
