import {
  createNatsPersonKeys,
  createPersonalData,
  ensureBucket,
  keyBucket,
  type MasterKeys,
  managerOf,
  type PersonalData,
  type Requests,
  systemRuntime,
  WITHOUT_KEYS,
} from '../eventstore/index.ts';
import { keysKind } from './buckets.ts';

/** What opens and seals the personal data of a ledger. */
export interface PersonalOptions {
  /** What the keys of persons are wrapped with: `createMasterKeys`, or a service that keeps them. */
  readonly masters: MasterKeys;
  /**
   * Whether new events are sealed; true unless given. Where several processes run, first give all of them `false`, so
   * that each can read what is sealed.
   */
  readonly encrypt?: boolean;
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

/** The personal data of a process; makes the bucket of the keys where new events are sealed. @throws as the server refuses it */
export async function openPersonal(options: OpenPersonalOptions): Promise<PersonalData> {
  const { requests, prefix, replicas, requestTimeoutMs: timeoutMs, personal } = options;
  if (personal === undefined) return WITHOUT_KEYS;
  const { masters, encrypt = true, forgotten } = personal;
  if (encrypt)
    await ensureBucket(await managerOf(requests, timeoutMs), keyBucket(prefix), keysKind(replicas));
  const keys = createNatsPersonKeys({ requests, runtime: systemRuntime, prefix, timeoutMs, masters });
  return createPersonalData({ keys, encrypt, ...(forgotten !== undefined && { forgotten }) });
}
