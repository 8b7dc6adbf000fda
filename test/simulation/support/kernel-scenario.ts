import { create } from '@bufbuild/protobuf';
import { type Int32Value, Int32ValueSchema } from '@bufbuild/protobuf/wkt';
import type { Decider, Rejection } from '../../../src/eventstore/decider.ts';
import { createPrng, type Prng } from '../../../src/testing/world.ts';

/** What can be asked of an account: its balance is changed by an amount, or set; it never falls below zero. */
export type AccountCommand =
  | { readonly kind: 'add'; readonly by: number }
  /** Nothing to do when the balance is this already, which a stale cache gets wrong. */
  | { readonly kind: 'set'; readonly to: number };

/** The toy aggregate of the kernel's simulation; it accepts, rejects, and has nothing to do. */
export const account: Decider<number, AccountCommand, Int32Value, Rejection> = {
  category: 'account',
  events: [Int32ValueSchema],
  initial: 0,
  evolve: (balance, event) => balance + event.value,
  decide: (command, balance) => {
    const by = command.kind === 'add' ? command.by : command.to - balance;
    if (balance + by < 0)
      return { code: 'account/too-little', message: 'There is not enough on the account.' };
    return by === 0 ? [] : [create(Int32ValueSchema, { value: by })];
  },
};

/** One request of a client, repeated with the same key until it is answered. */
export type KernelOp =
  | {
      readonly type: 'one';
      readonly id: string;
      readonly command: AccountCommand;
      /** `version` = the one that the client knows when it asks first. */
      readonly expected: 'any' | 'none' | 'exists' | 'version';
      /** The client sends its next request at the same time. */
      readonly beside: boolean;
    }
  /** A transfer between two accounts in one atomic commit. */
  | {
      readonly type: 'all';
      readonly from: string;
      readonly to: string;
      readonly amount: number;
      readonly beside: boolean;
    };

/** What each client of one schedule asks for, one after the other. */
export interface Clients<Op> {
  readonly clients: readonly (readonly Op[])[];
}

export type KernelScenario = Clients<KernelOp>;

/** Few accounts: everybody works on the same. */
const ACCOUNTS = ['a', 'b'] as const;

/** The scenario of a seed. */
export function scenarioOf(seed: number): KernelScenario {
  const prng = createPrng(seed ^ 0xacc0);
  const clients = Array.from({ length: 2 + pick(prng, 3) }, () =>
    Array.from({ length: 1 + pick(prng, 5) }, () => opOf(prng)),
  );
  return { clients };
}

/** The scenario made smaller in every way that leaves something out. */
export function* smaller<Op>({ clients }: Clients<Op>): Generator<Clients<Op>> {
  for (const [i, ops] of clients.entries()) {
    yield { clients: clients.filter((_, other) => other !== i) };
    for (const j of ops.keys()) {
      yield { clients: clients.map((c, other) => (other === i ? c.filter((_, k) => k !== j) : c)) };
    }
  }
}

function opOf(prng: Prng): KernelOp {
  const beside = prng() < 0.5;
  const [first, second] = prng() < 0.5 ? ACCOUNTS : [ACCOUNTS[1], ACCOUNTS[0]];
  if (prng() < 0.15) return { type: 'all', from: first, to: second, amount: 1 + pick(prng, 3), beside };
  const id = prng() < 0.75 ? ACCOUNTS[0] : ACCOUNTS[1];
  return { type: 'one', id, command: commandOf(prng), expected: expectationOf(prng), beside };
}

function commandOf(prng: Prng): AccountCommand {
  return prng() < 0.4 ? { kind: 'set', to: pick(prng, 4) } : { kind: 'add', by: pick(prng, 9) - 4 };
}

function expectationOf(prng: Prng): 'any' | 'none' | 'exists' | 'version' {
  const roll = prng();
  if (roll < 0.7) return 'any';
  return roll < 0.8 ? 'none' : roll < 0.88 ? 'exists' : 'version';
}

/** A whole number below `count`. */
export function pick(prng: Prng, count: number): number {
  return Math.floor(prng() * count);
}
