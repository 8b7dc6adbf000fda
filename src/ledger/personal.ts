import {
  checkMasterKeys,
  createNatsForgetting,
  createNatsPersonKeys,
  createPersonalData,
  ensureBucket,
  type Forgetting,
  forgottenBucket,
  keyBucket,
  type MasterKeys,
  managerOf,
  type PersonalData,
  personalKinds,
  type Requests,
  systemRuntime,
  WITHOUT_KEYS,
} from '../eventstore/index.ts';

/** What opens and seals the personal data of a ledger. */
export interface PersonalOptions {
  /** What the keys of persons are wrapped with: `createMasterKeys`, or a service that keeps them. */
  readonly masters: MasterKeys;
  /**
   * Whether new events are sealed; true unless given. Where several processes run, first give all of them `false`, so
   * that each can read what is sealed.
   */
  readonly encrypt?: boolean;
  /**
   * Names of master keys that are gone for good: what is sealed under them stays unreadable. Any other that is missing is
   * refused at the start, since it may only have been mislaid.
   */
  readonly lostMasters?: readonly string[];
  /** What stands in place of a text of a person who was forgotten; `forgotten` unless given. */
  readonly forgotten?: string;
}

/** What opening the keys of persons takes. */
export interface OpenPersonalOptions {
  readonly requests: Requests;
  /** First part of the bucket's name. */
  readonly prefix: string;
  /** Copies of the bucket. */
  readonly replicas: number;
  /** How long one request may take, in milliseconds. */
  readonly requestTimeoutMs: number;
  /** Undefined for a process without keys, to which whatever is sealed stays so. */
  readonly personal: PersonalOptions | undefined;
}

/** The personal data of a process; makes the bucket of the keys where new events are sealed. @throws UnknownMasterKey; as the server refuses it */
export async function openPersonal(options: OpenPersonalOptions): Promise<PersonalData> {
  const { requests, prefix, requestTimeoutMs: timeoutMs, personal } = options;
  if (personal === undefined) return WITHOUT_KEYS;
  const { masters, encrypt = true, forgotten, lostMasters = [] } = personal;
  if (encrypt) await makeBuckets(options, [keyBucket(prefix)]);
  const where = { requests, runtime: systemRuntime, prefix, timeoutMs };
  await checkMasterKeys(where, masters, lostMasters);
  const keys = createNatsPersonKeys({ ...where, masters });
  return createPersonalData({ keys, encrypt, ...(forgotten !== undefined && { forgotten }) });
}

/**
 * What forgets persons, after it has ended what a crash has left. @throws as the server refuses it; KeysUnavailable,
 * LogUnavailable
 */
export async function openForgetting(options: Omit<OpenPersonalOptions, 'personal'>): Promise<Forgetting> {
  const { requests, prefix, requestTimeoutMs: timeoutMs } = options;
  await makeBuckets(options, [keyBucket(prefix), forgottenBucket(prefix)]);
  const forgetting = createNatsForgetting({ requests, runtime: systemRuntime, prefix, timeoutMs });
  await forgetting.finish();
  return forgetting;
}

async function makeBuckets(
  { requests, prefix, replicas, requestTimeoutMs }: Omit<OpenPersonalOptions, 'personal'>,
  names: readonly string[],
): Promise<void> {
  const jsm = await managerOf(requests, requestTimeoutMs);
  for (const [name, kind] of personalKinds(prefix, replicas))
    if (names.includes(name)) await ensureBucket(jsm, name, kind);
}
