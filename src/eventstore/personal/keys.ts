import { EventStoreError } from '../errors.ts';
import type { Runtime } from '../runtime.ts';

/** A key of a person, as long as it may be used. */
export interface PersonKey {
  /** Which of the person's keys it is; random, so that one that was lost and made anew is not taken for it. */
  readonly number: number;
  /** 32 bytes. */
  readonly key: Uint8Array;
  /** Until when it may be used, in milliseconds of the runtime's clock; then it is asked for again. */
  readonly until: number;
}

/** What is known of a person's key. `forgotten`: it was destroyed, for good; `none`: there has never been one. */
export type KeyState = PersonKey | 'forgotten' | 'none';

/** How long a process may use a key after it asked for it, in milliseconds. */
export const LONGEST_LEASE_MS = 2_000;

/** Where the keys of persons are kept. */
export interface PersonKeys {
  /**
   * The keys of persons, each as the leader has it now, or as this process was told within the lease.
   * @param how `make`: who has none gets one, which is stored and acknowledged before it is given
   * @throws KeysUnavailable whenever something other than these three is the case; that is never `forgotten`
   */
  keysOf(persons: readonly string[], how: 'read' | 'make'): Promise<ReadonlyMap<string, KeyState>>;
  /** The key of a person as this process was told within the lease, so that nobody waits for what is known. */
  atHand?(person: string): PersonKey | undefined;
}

/** A key that is needed cannot be had: unreachable, denied or missing. Nothing was stored or shown; try again. */
export class KeysUnavailable extends EventStoreError {
  constructor(why: string, cause?: unknown) {
    super('keys/unavailable', `The keys of persons cannot be used: ${why}. Nothing was stored; try again.`, {
      retryable: true,
      cause,
    });
  }
}

/** The key of one person is missing or damaged, while others can be had; trying again helps once it was put back. */
export class KeyUnreadable extends KeysUnavailable {}

/** What is kept is wrapped with a master key that was not given. */
export class UnknownMasterKey extends KeyUnreadable {
  /** Its name. */
  readonly master: string;

  constructor(master: string) {
    super(`the master key ${master} is not among those given`);
    this.master = master;
  }
}

/** For a process that was given no keys: whatever is sealed stays so. */
export const NO_KEYS: PersonKeys = {
  keysOf: async () => {
    throw new KeysUnavailable('this process was given none');
  },
};

/** The keys at hand for one piece of work, as long as their leases last. */
export class KeyRing {
  readonly #keys: PersonKeys;
  readonly #runtime: Pick<Runtime, 'now'>;
  readonly #known = new Map<string, PersonKey | 'forgotten'>();

  constructor(keys: PersonKeys, runtime: Pick<Runtime, 'now'>) {
    this.#keys = keys;
    this.#runtime = runtime;
  }

  /** The key of a person; undefined = it has to be fetched. */
  get(person: string): PersonKey | 'forgotten' | undefined {
    const known = this.#known.get(person);
    if (known === 'forgotten') return known;
    if (known !== undefined && this.#runtime.now() < known.until) return known;
    return this.#keys.atHand?.(person);
  }

  /**
   * Asks for keys in one round, and once more for those whose lease has ended while others came.
   * @throws KeysUnavailable, also for a person of whom something is sealed and who has no key
   */
  async fetch({ persons, how }: Lacking): Promise<void> {
    const late = await this.#ask([...persons], how);
    // Or whoever asks would ask again and again.
    if (late.length > 0 && (await this.#ask(late, how)).length > 0)
      throw new KeysUnavailable('they came too late to be used');
  }

  /** @returns whose keys came too late */
  async #ask(persons: readonly string[], how: Lacking['how']): Promise<readonly string[]> {
    const found = await this.#keys.keysOf(persons, how);
    const late: string[] = [];
    for (const person of persons) {
      const state = found.get(person) ?? 'none';
      if (state === 'none')
        throw new KeyUnreadable(`the person ${person} has none, though something is sealed with it`);
      if (state !== 'forgotten' && this.#runtime.now() >= state.until) late.push(person);
      else this.#known.set(person, state);
    }
    return late;
  }
}

/** Keys that have to be fetched before something can go on. */
export interface Lacking {
  readonly persons: ReadonlySet<string>;
  readonly how: 'read' | 'make';
}
