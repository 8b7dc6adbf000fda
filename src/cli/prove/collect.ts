import type { Message } from '@bufbuild/protobuf';
import {
  BEGINNING,
  codecOf,
  EventStoreError,
  isAfter,
  isDamage,
  isSealed,
  KeysUnavailable,
  keyBucket,
  type Log,
  numberOf,
  type PersonalData,
  type RecordedCommit,
  type Requests,
  readStoredKey,
  type StoredKey,
  tokenOf,
} from '../../eventstore/index.ts';
import { checkInterrupted, type OnBytes } from '../../platform/backup/manifest.ts';
import type { Config } from '../../platform/config/schema.ts';
import { aggregates } from '../../service/shop.ts';
import { bucketsOf } from '../../service/with-nats.ts';
import { objectionTo } from './needles.ts';

/** What is kept of a person's key on a server; undefined where it never had one. @throws LogUnavailable */
export async function storedKeyOf(
  config: Config,
  requests: Requests,
  user: string,
): Promise<StoredKey | undefined> {
  const bucket = await bucketsOf(config, requests).open(keyBucket(config.log.prefix));
  const row = await bucket?.get(tokenOf(user), { leader: true });
  return row && readStoredKey(row.value);
}

const codecs = new Map(aggregates.map((decider) => [decider.category, codecOf<Message>(decider)]));

/**
 * Every text of a person that the log holds sealed, opened, each once; what cannot be looked for is left out.
 * @throws KeysUnavailable where there is no key, or none any more; LogUnavailable; BackupError once the signal has fired
 */
export async function collectValues(
  { log, personal }: { readonly log: Log; readonly personal: Pick<PersonalData, 'open'> },
  user: string,
  { signal, onPosition }: { readonly signal: AbortSignal; readonly onPosition: OnBytes },
): Promise<readonly string[]> {
  const sealed = new Set<string>();
  const end = await log.head();
  if (end === BEGINNING) return [];
  for await (const { commits, through } of log.scan({ after: BEGINNING, signal })) {
    for (const commit of commits) for (const text of sealedTexts(commit, user)) sealed.add(text);
    onPosition(numberOf(through), numberOf(end));
    if (!isAfter(end, through)) break;
  }
  checkInterrupted(signal);
  const values = await personal.open([...sealed]);
  if (values.some(isSealed)) throw new KeysUnavailable('there is no master key: set privacy.masterKeys');
  const lines = values.flatMap((value) => value.split(/\r?\n/)).map((line) => line.trim());
  return [...new Set(lines)].filter((line) => objectionTo(line) === undefined);
}

function sealedTexts({ stream, decisions }: RecordedCommit, user: string): readonly string[] {
  const codec = codecs.get(stream.category);
  if (codec?.personal !== true) return [];
  const found: string[] = [];
  for (const stored of decisions.flatMap(({ events }) => events)) {
    if (stored.sealed.length === 0) continue;
    try {
      const event = codec.decode(stored, stream.id);
      if (codec.persons(event, stream.id).includes(user)) collect(event, found);
    } catch (error) {
      // What is damaged holds nothing that can be read; `verify` tells of it.
      if (!isDamage(error) && !isInvalid(error)) throw error;
    }
  }
  return found;
}

const isInvalid = (error: unknown): boolean =>
  error instanceof EventStoreError && error.code === 'event/invalid';

function collect(value: unknown, into: string[]): void {
  if (typeof value === 'string') {
    if (isSealed(value)) into.push(value);
  } else if (typeof value === 'object' && value !== null && !ArrayBuffer.isView(value))
    for (const inner of Object.values(value)) collect(inner, into);
}
