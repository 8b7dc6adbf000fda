import { create } from '@bufbuild/protobuf';
import {
  type Int32Value,
  Int32ValueSchema,
  type StringValue,
  StringValueSchema,
} from '@bufbuild/protobuf/wkt';
import type { Decider, Rejection } from '../../src/eventstore/decider.ts';

/** What the audit's aggregate is asked. Each kind can be accepted, refused or find nothing to do, depending on the state. */
export type AccountCommand =
  /** Moves the balance; with a label it is two events, which must be stored together or not at all. */
  | { readonly kind: 'move'; readonly amount: number; readonly label?: string }
  /** Nothing to do when it has that label. */
  | { readonly kind: 'label'; readonly label: string };

export interface AccountState {
  readonly balance: number;
  readonly label: string;
}

export type AccountEvent = Int32Value | StringValue;

export interface AccountRejection extends Rejection {
  readonly code: 'account/short' | 'account/full';
}

/** A narrow range, so that refusals are common and a stale one is noticed. */
export const FULL = 12;

/** The audit's own aggregate: a bounded account. The order of its commands decides which are refused. */
export const account: Decider<AccountState, AccountCommand, AccountEvent, AccountRejection> = {
  category: 'account',
  events: [Int32ValueSchema, StringValueSchema],
  initial: { balance: 0, label: '' },
  evolve: (state, event) =>
    event.$typeName === 'google.protobuf.Int32Value'
      ? { ...state, balance: state.balance + event.value }
      : { ...state, label: event.value },
  decide: (command, state) => {
    if (command.kind === 'label') {
      return command.label === state.label ? [] : [create(StringValueSchema, { value: command.label })];
    }
    const balance = state.balance + command.amount;
    if (balance < 0) return { code: 'account/short', message: `The balance is ${state.balance}.` };
    if (balance > FULL) return { code: 'account/full', message: `The balance is ${state.balance}.` };
    const moved = create(Int32ValueSchema, { value: command.amount });
    return command.label === undefined
      ? [moved]
      : [moved, create(StringValueSchema, { value: command.label })];
  },
};
