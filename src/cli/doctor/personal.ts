import type { StreamInfo } from '@nats-io/jetstream';
import {
  BEGINNING,
  isAfter,
  isDamage,
  type Log,
  numberOf,
  type Position,
  positionOf,
} from '../../eventstore/index.ts';
import type { Config } from '../../platform/config/schema.ts';
import { encryptsNew } from '../../platform/topology.ts';
import type { Nats } from '../../service/open.ts';
import { keysStatus } from '../../service/personal/keys.ts';
import { addShare, describeShare, type PersonalShare } from '../../service/personal/share.ts';
import { type Finding, fail, ok, warn } from './checks.ts';

/** Whether the keys of persons are reachable, and the master keys those that they are wrapped with. */
export async function keysFinding(
  config: Config,
  nats: Nats,
  { config: stored }: StreamInfo,
): Promise<Finding> {
  const { byMaster, current, missing, lost } = await keysStatus(config, nats);
  const count = Object.values(byMaster).reduce((sum, each) => sum + each, 0);
  const give = 'Give it in privacy.masterKeys or privacy.masterKeyFile (docs/privacy.md).';
  const wrapped = (names: readonly string[]): string =>
    names.map((name) => `${byMaster[name]} are wrapped with ${name}`).join(', ');
  if (missing.length > 0)
    return fail('keys of persons', `${wrapped(missing)}, a master key that is not given`, give);
  const encrypts = encryptsNew(config.privacy.encrypt, stored);
  if (encrypts && current === undefined) return fail('keys of persons', 'there is no master key', give);
  const given = 'each opens with a master key that is given';
  return ok(
    'keys of persons',
    lost.length === 0 ? `${count}, ${given}` : `${count}; ${wrapped(lost)}, which is gone for good`,
  );
}

/** Commits that are looked at from either end of the log: a doctor does not read all of it. */
const LOOKED_AT = 2_500;

/** How much of the log's personal data is plain. */
export async function shareFinding(
  config: Config,
  log: Log,
  { config: stored }: StreamInfo,
): Promise<Finding> {
  const head = await log.head();
  const share: PersonalShare = { sealed: 0, plain: 0, unkeyed: 0 };
  const last = numberOf(head);
  await addCommits(share, log, BEGINNING, positionOf(Math.min(last, LOOKED_AT)));
  const from = Math.max(LOOKED_AT, last - LOOKED_AT);
  if (from < last) await addCommits(share, log, positionOf(from), head);
  const where = last > 2 * LOOKED_AT ? `, in the oldest and the newest ${LOOKED_AT} commits` : '';
  const detail = `${describeShare(share)}${where}`;
  const isPlain = share.plain + share.unkeyed > 0;
  if (!isPlain || !encryptsNew(config.privacy.encrypt, stored)) return ok('personal data', detail);
  return warn(
    'personal data',
    detail,
    'What is from before stays until restore --encrypt (docs/privacy.md).',
  );
}

async function addCommits(share: PersonalShare, log: Log, after: Position, through: Position): Promise<void> {
  if (through === after) return;
  for await (const batch of log.scan({ after })) {
    for (const commit of batch.commits) {
      if (isAfter(commit.position, through)) return;
      addReadable(share, commit);
    }
    if (!isAfter(through, batch.through)) return;
  }
}

/** What is damaged is told by others. */
function addReadable(share: PersonalShare, commit: Parameters<typeof addShare>[1]): void {
  try {
    addShare(share, commit);
  } catch (error) {
    if (!isDamage(error)) throw error;
  }
}
