import {
  countKeys,
  createMasterKeys,
  type KeptKeys,
  KeysUnavailable,
  keyBucket,
  openKeyBucket,
  type Rewrapped,
  rewrapKeys,
  systemRuntime,
} from '../../eventstore/index.ts';
import type { Config } from '../../platform/config/schema.ts';
import { lostMasterKeys, type Nats } from '../open.ts';
import { bucketsOf } from '../with-nats.ts';

/** How the keys of persons stand beside the master keys that this process was given. */
export interface KeysStatus extends KeptKeys {
  /** The name of the master key that wraps; undefined where none was given. */
  readonly current: string | undefined;
  /** Names of master keys that wrap something and were not given: what is sealed under them cannot be read. */
  readonly missing: readonly string[];
  /** Those of which the configuration says that they are gone for good. */
  readonly lost: readonly string[];
}

const NO_KEYS: KeptKeys = { byMaster: {}, forgotten: 0 };

/** @throws KeysUnavailable, LogUnavailable */
export async function keysStatus(config: Config, nats: Nats): Promise<KeysStatus> {
  const bucket = await bucketsOf(config, nats.requests).open(keyBucket(config.log.prefix));
  const kept = bucket === undefined ? NO_KEYS : await countKeys({ bucket });
  const given = nats.masterKeys.map((key) => createMasterKeys(key).current);
  const absent = Object.keys(kept.byMaster).filter((name) => !given.includes(name));
  const known = lostMasterKeys(config);
  const lost = absent.filter((name) => known.includes(name));
  const missing = absent.filter((name) => !known.includes(name));
  return { ...kept, current: given[0], missing, lost };
}

/** While instances make keys beside it, some have to be looked at again. */
const MOST_ROUNDS = 10;

/**
 * Wraps every key with the first master key; nothing in the log changes.
 * @throws KeysUnavailable where a master key is missing; nothing that was wrapped by then is lost
 */
export async function rotateKeys(config: Config, nats: Nats): Promise<Omit<Rewrapped, 'changed'>> {
  const [current, ...former] = nats.masterKeys;
  if (current === undefined) throw new KeysUnavailable('there is no master key: set privacy.masterKeys');
  const { requests } = nats;
  const { prefix } = config.log;
  const known = await bucketsOf(config, requests).open(keyBucket(prefix));
  if (known === undefined) return { rewrapped: 0, kept: 0 };
  const timeoutMs = config.nats.requestTimeoutMs;
  const bucket = openKeyBucket({ requests, runtime: systemRuntime, prefix, timeoutMs });
  const masters = createMasterKeys(current, former);
  const lostMasters = lostMasterKeys(config);
  let [rewrapped, kept] = [0, 0];
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const done = await rewrapKeys({ bucket, masters, lostMasters });
    rewrapped += done.rewrapped;
    if (round === 0) kept = done.kept;
    if (done.changed === 0) return { rewrapped, kept };
  }
  throw new KeysUnavailable('somebody else changes them all the time');
}
