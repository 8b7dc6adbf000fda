import { NatsUnusable } from './nats-connection.ts';

/** What is known of how a server writes: whether it syncs before it acknowledges. */
export type SyncEvidence = 'always' | 'not-always' | 'unreadable';

const READ_TIMEOUT_MS = 1_500;

/** Asks every monitoring endpoint; one server that does not sync is enough to say no, one silent one to not know. */
export async function readSyncEvidence(monitorUrls: readonly string[]): Promise<SyncEvidence> {
  if (monitorUrls.length === 0) return 'unreadable';
  const found = await Promise.all(monitorUrls.map(readOne));
  if (found.includes('not-always')) return 'not-always';
  return found.includes('unreadable') ? 'unreadable' : 'always';
}

async function readOne(monitorUrl: string): Promise<SyncEvidence> {
  try {
    const response = await fetch(`${monitorUrl}/varz`, { signal: AbortSignal.timeout(READ_TIMEOUT_MS) });
    const varz = (await response.json()) as { jetstream?: { config?: { sync_always?: boolean } } };
    return varz.jetstream?.config?.sync_always === true ? 'always' : 'not-always';
  } catch {
    return 'unreadable';
  }
}

/** What is asked of the log, and what its operators say of it. */
export interface DurabilitySettings {
  /** `always` = on disk; `replicated` = on a majority of three or more; `none` = not checked. */
  readonly durability: 'always' | 'replicated' | 'none';
  /** True = an operator vouches that every server syncs, where nobody can read it. */
  readonly assertSyncAlways: boolean;
}

/** Why acknowledged commits could be lost in a power cut, as one sentence that says what to do; nothing when they could not. */
export function durabilityProblem(
  log: DurabilitySettings,
  replicas: number,
  evidence: SyncEvidence,
): string | undefined {
  if (log.durability === 'none') {
    return 'log.durability is none: a power cut may lose what was acknowledged in the last two minutes. Set it to always.';
  }
  if (log.durability === 'replicated') {
    if (replicas >= 3) return undefined;
    return `log.durability is replicated and the log has ${replicas} replica(s): 3 or more are needed. Raise log.replicas and apply the topology.`;
  }
  if (evidence === 'always') return undefined;
  if (evidence === 'not-always') {
    return 'The NATS server acknowledges before data is on disk: a power cut may lose up to two minutes. Set sync_interval: always in its jetstream section.';
  }
  if (log.assertSyncAlways) return undefined;
  return (
    'Nobody can say whether the NATS server syncs before it acknowledges. Name its monitoring endpoints in ' +
    'nats.monitorUrls, or, when sync_interval: always is set on every server, vouch for it with log.assertSyncAlways: true.'
  );
}

/**
 * Refuses to run in production on a log that a power cut could shorten; elsewhere `warn` is told of it.
 * @throws NatsUnusable
 */
export function guardDurability(
  log: DurabilitySettings,
  found: { readonly replicas: number; readonly evidence: SyncEvidence },
  production: boolean,
  warn: (problem: string) => void,
): void {
  const problem = durabilityProblem(log, found.replicas, found.evidence);
  if (problem === undefined) return;
  if (production) throw new NatsUnusable(problem);
  warn(problem);
}

/** What decides whether commits may share a batch. */
export interface GroupCommitSettings {
  readonly log: Pick<DurabilitySettings, 'durability'> & { readonly replicas: number };
  readonly commands: { readonly groupCommit: 'auto' | 'off' };
}

/**
 * How commits that are under way at once may share a batch (protocol 16). One server that does not sync takes a single
 * publish for next to nothing, so that no batch can pay, and measuring that would cost each append something.
 */
export function groupCommitMode(
  { log, commands }: GroupCommitSettings,
  evidence: SyncEvidence,
): 'auto' | 'off' {
  const syncs = evidence === 'always' || (evidence === 'unreadable' && log.durability !== 'none');
  return syncs || log.replicas > 1 ? commands.groupCommit : 'off';
}
