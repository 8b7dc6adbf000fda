import { createPrng, type Prng } from '../../../src/testing/world.ts';

/** One request of a client, repeated with the same key until it is answered. */
export type EmailOp =
  | { readonly type: 'register'; readonly address: string }
  | { readonly type: 'change'; readonly address: string; readonly ifMatch: boolean }
  | { readonly type: 'deactivate' }
  | { readonly type: 'reactivate' };

/** What the clients of one schedule ask for; each client is one user and sends its requests one after the other. */
export interface EmailScenario {
  readonly clients: readonly (readonly EmailOp[])[];
}

/** Few addresses and few users: everybody wants what somebody else has. */
export const ADDRESSES = ['ada@example.com', 'bob@example.com', 'eve@example.com'] as const;

/** The scenario of a seed. */
export function scenarioOf(seed: number): EmailScenario {
  const prng = createPrng(seed ^ 0x5eed);
  const clients = Array.from({ length: 2 + pick(prng, 2) }, () => {
    const rest = Array.from({ length: pick(prng, 4) }, () => opOf(prng));
    return [{ type: 'register' as const, address: addressOf(prng) }, ...rest];
  });
  return { clients };
}

/** The scenario made smaller in every way that leaves something out. */
export function* smaller(scenario: EmailScenario): Generator<EmailScenario> {
  const { clients } = scenario;
  for (const [i, ops] of clients.entries()) {
    yield { clients: clients.filter((_, other) => other !== i) };
    for (const j of ops.keys()) {
      yield { clients: clients.map((c, other) => (other === i ? c.filter((_, k) => k !== j) : c)) };
    }
  }
}

function opOf(prng: Prng): EmailOp {
  const roll = prng();
  if (roll < 0.1) return { type: 'deactivate' };
  if (roll < 0.2) return { type: 'reactivate' };
  return { type: 'change', address: addressOf(prng), ifMatch: prng() < 0.2 };
}

const addressOf = (prng: Prng): string => ADDRESSES[pick(prng, ADDRESSES.length)] ?? ADDRESSES[0];

/** A whole number below `count`. */
export function pick(prng: Prng, count: number): number {
  return Math.floor(prng() * count);
}
