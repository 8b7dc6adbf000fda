import { create, type MessageShape } from '@bufbuild/protobuf';
import type { Decider, Rejection } from '../eventstore/index.ts';
import { EmailClaimedSchema, EmailReleasedSchema } from '../gen/jetledger/email/v1/email_pb.ts';
import { addKey, emptyKeySet, hasKey, type KeySet } from './key-map.ts';
import { rejected, type Timed } from './values.ts';

const events = [EmailClaimedSchema, EmailReleasedSchema] as const;

/** What can happen to an address. */
export type EmailEvent = MessageShape<(typeof events)[number]>;

/** What can be asked of an address, always by one attempt of one user. */
export type EmailCommand = Timed<{ type: 'claim' | 'release'; userId: string; attempt: string }>;

/**
 * `email/taken` has as details `userId`, `attempt` and `claimedAt` (ms) of the holder: for the use case, never for
 * clients. `email/attempt-released`: this attempt gave the address up, perhaps before it ever had it.
 */
export interface EmailRejection extends Rejection {
  readonly code: 'email/taken' | 'email/attempt-released';
}

/** Who holds an address, and since when (milliseconds since the Unix epoch). */
export interface EmailClaim {
  readonly userId: string;
  readonly attempt: string;
  readonly claimedAt: number;
}

/** `released` bars the attempts that gave the address up: a late claim by one would be nobody's to release. */
export type EmailState =
  | { readonly status: 'free'; readonly released: KeySet }
  | { readonly status: 'claimed'; readonly claim: EmailClaim; readonly released: KeySet };

interface Claimant {
  readonly userId: string;
  readonly attempt: string;
}

const initial: EmailState = { status: 'free', released: emptyKeySet };

function evolve(state: EmailState, event: EmailEvent): EmailState {
  switch (event.$typeName) {
    case 'jetledger.email.v1.EmailClaimed': {
      const { userId, attempt, claimedAt } = event;
      const claim = { userId, attempt, claimedAt: Number(claimedAt) };
      return { status: 'claimed', claim, released: state.released };
    }
    case 'jetledger.email.v1.EmailReleased': {
      const released = addKey(state.released, keyOf(event));
      return holds(state, event) ? { status: 'free', released } : { ...state, released };
    }
    default:
      event satisfies never;
      return state;
  }
}

function decide(command: EmailCommand, state: EmailState): readonly EmailEvent[] | EmailRejection {
  switch (command.type) {
    case 'claim':
      return claim(command, state);
    case 'release':
      return release(command, state);
  }
}

function claim(command: EmailCommand, state: EmailState): readonly EmailEvent[] | EmailRejection {
  if (holds(state, command)) return [];
  if (hasKey(state.released, keyOf(command))) {
    const message = 'This attempt to use the e-mail address was given up; start again.';
    return rejected('email/attempt-released', message);
  }
  if (state.status === 'claimed') {
    const message = 'This e-mail address is in use; choose another one.';
    return rejected('email/taken', message, { ...state.claim });
  }
  const { userId, attempt, at } = command;
  return [create(EmailClaimedSchema, { userId, attempt, claimedAt: BigInt(at) })];
}

/** Also bars an attempt that holds nothing: its claim may still be on its way. */
function release(command: EmailCommand, state: EmailState): readonly EmailEvent[] {
  if (!holds(state, command) && hasKey(state.released, keyOf(command))) return [];
  const { userId, attempt, at } = command;
  return [create(EmailReleasedSchema, { userId, attempt, releasedAt: BigInt(at) })];
}

function holds(state: EmailState, { userId, attempt }: Claimant): boolean {
  return state.status === 'claimed' && state.claim.userId === userId && state.claim.attempt === attempt;
}

/** One string for both ids that no other pair of ids has. */
function keyOf({ userId, attempt }: Claimant): string {
  return JSON.stringify([userId, attempt]);
}

/** Who may use one address; its id is a keyed digest of the address (protocols 4 and 5). */
export const email: Decider<EmailState, EmailCommand, EmailEvent, EmailRejection> = {
  category: 'email',
  events,
  initial,
  evolve,
  decide,
};
