import type { NatsConnection } from '@nats-io/transport-node';
import { lastingIllness } from './nats-monitor.ts';

/** The server on which an empty log is to be made, and what is known of it. */
export interface NewLogDeps {
  readonly connection: Pick<NatsConnection, 'info'>;
  /** The log's. */
  readonly stream: string;
  /** Streams and buckets that were made with the log or behind it, and are there. */
  readonly left: readonly string[];
  readonly monitorUrls: readonly string[];
  /** The operator says that the server never held a log: counts only where nothing can be asked. */
  readonly isNew: boolean;
}

const MOST_NAMED = 3;

/**
 * Why no empty log may be made on a server that shows none; undefined when it may. A single server whose key is missing
 * or wrong starts without what it cannot read, says so to its monitoring only, and deletes the files of a stream that is
 * made under the same name (nats-server 2.15.1). A cluster's node does not start with a wrong key.
 */
export async function objectionToNewLog(deps: NewLogDeps): Promise<string | undefined> {
  const { connection, stream, left, monitorUrls, isNew } = deps;
  for (const url of monitorUrls) {
    const objection = await objectionAt(url, isNew);
    if (objection !== undefined) return objection;
  }
  if (left.length > 0) return `${stream} is not there, but ${named(left)}: ${LOST}`;
  const canTell = monitorUrls.length > 0 || connection.info?.cluster !== undefined;
  return canTell || isNew ? undefined : `${UNKNOWN}. Name its monitoring (nats.monitorUrls); ${OR_NEW}`;
}

async function objectionAt(url: string, isNew: boolean): Promise<string | undefined> {
  try {
    const illness = await lastingIllness(url);
    return illness === undefined
      ? undefined
      : `${url} says: ${illness}. ${DELETES} ${CURE}, and restart that server`;
  } catch {
    return isNew ? undefined : `${url} does not answer, so that ${UNKNOWN}. Start that server; ${OR_NEW}`;
  }
}

const UNKNOWN = 'nobody can say whether the NATS server has a log that it cannot read';
const OR_NEW = 'or, where it never held a log, say so with --new-log';
const DELETES = 'Whatever is made anew there deletes the files of what cannot be read.';
const CURE = 'Set the cipher and key that it was written with (jetstream { cipher, key }), or mend the disk';
const LOST =
  'the log was deleted, or the disk or the key is another. Bring them back, or restore a backup into an empty server. ' +
  'An empty log is made only where nothing of the old one is left';

function named(left: readonly string[]): string {
  const more = left.length - MOST_NAMED;
  const rest = more > 0 ? ` and ${more} more` : '';
  return `${left.slice(0, MOST_NAMED).join(', ')}${rest} ${left.length === 1 ? 'is' : 'are'}`;
}
