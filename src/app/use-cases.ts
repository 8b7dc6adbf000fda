import type { OrderEvent, OrderRejection, OrderState } from '../domain/order.ts';
import type { OrderDetails } from '../domain/order-details.ts';
import type { UserEvent, UserRejection, UserState } from '../domain/user.ts';
import {
  type CommandHandler,
  type CommandMeta,
  type CommandResult,
  EventStoreError,
  type ExecuteOptions,
  type Log,
  type PersonalData,
  type Rejection,
  type Runtime,
} from '../eventstore/index.ts';

import type { EmailKey } from './email-key.ts';

/** A refusal by a use case itself, for example an address that is taken. */
export type UseCaseRejection<Code extends string> = Rejection & { readonly code: Code };

export type UserResult = CommandResult<
  UserState,
  UserEvent,
  UserRejection | UseCaseRejection<'user/email-taken' | 'user/not-encrypted'>
>;

export type OrderResult = CommandResult<
  OrderState,
  OrderEvent,
  | OrderRejection
  | UseCaseRejection<'order/unknown-product' | 'order/product-discontinued' | 'order/payment-required'>
>;

export interface Registration {
  /** Derived from the idempotency key, or new. */
  readonly userId: string;
  /** As the client wrote it. */
  readonly email: string;
  readonly name: string;
}

export interface OrderRequest {
  readonly orderId: string;
  readonly userId: string;
  readonly lines: readonly { readonly sku: string; readonly quantity: number }[];
  /** The payment provider's name for a way to pay; without it the configured default, if there is one. */
  readonly paymentToken?: string | undefined;
  readonly details?: OrderDetails;
}

/** What takes more than one step or aggregate. Everything else is one `CommandHandler.execute`. */
export interface UseCases {
  /** Claims the address, then creates the user (protocol 4). */
  register(input: Registration, meta: CommandMeta): Promise<UserResult>;
  /** Starts the change, claims the new address, completes, releases the old one (protocol 5). */
  changeEmail(
    userId: string,
    email: string,
    meta: CommandMeta,
    options?: ExecuteOptions,
  ): Promise<UserResult>;
  /**
   * Who holds an address, as the log says now; it may be on its way to this user, or away from it. Undefined when nobody
   * does. @param email normalised
   */
  holderOfEmail(email: string): Promise<string | undefined>;
  /**
   * Ends the claim of an address whose registration or change never came (protocol 4); for a timer, some time after
   * the claim. `pending`: it is too young for that, look again; `settled`: nothing is left to do.
   */
  abandonStaleClaim(emailId: string): Promise<'settled' | 'pending'>;
  /**
   * Asks for a person to be forgotten (protocol 37): deactivates the user, and forgets it once its orders have ended and the
   * time of grace is over. `user/not-encrypted` where something of it is stored in plain.
   * @param reason as somebody typed it; may be empty
   */
  requestForgetting(
    userId: string,
    reason: string,
    meta: CommandMeta,
    options?: ExecuteOptions,
  ): Promise<UserResult>;
  /**
   * Forgets a person whose time has come, for a timer. `settled`: nothing is left to do; `not-erased`: it was forgotten
   * before, and its key is still to be destroyed; `overtaken`: somebody else changed the user, look again.
   * @param at now, in milliseconds since the Unix epoch
   */
  forgetWhenDue(userId: string, at: number): Promise<'settled' | 'not-erased' | 'overtaken'>;
  /** Looks up names and prices, then places the order and says until when it must be paid. */
  placeOrder(input: OrderRequest, meta: CommandMeta): Promise<OrderResult>;
}

/** The answer to somebody who cannot have an address. It does not say who has it. */
export function emailTaken(why: 'taken' | 'busy' | 'ended'): UseCaseRejection<'user/email-taken'> {
  return {
    code: 'user/email-taken',
    message:
      why === 'taken'
        ? 'This e-mail address is in use; choose another one.'
        : 'This e-mail address is being registered at the moment; try again in a few seconds.',
  };
}

export interface UseCaseSettings {
  /** From what age on a claim or a pending change without an owner is taken to be given up, in milliseconds. */
  readonly staleClaimMs: number;
  /** How old a product's name and price may be when an order is placed, in milliseconds. */
  readonly priceMaxAgeMs: number;
  /** How long a placed order waits for its payment, in milliseconds; default 15 minutes. */
  readonly paymentDeadlineMs?: number | undefined;
  /** For how long somebody who is to be forgotten can call it off, in milliseconds; default 0. */
  readonly graceMs?: number;
  /** How an order is paid when the request does not say; only for a simulated provider. */
  readonly defaultPaymentToken?: string | undefined;
}

/** What every use case is made of. */
export interface UseCaseDeps {
  readonly handler: CommandHandler;
  /** For what is stored of a person. */
  readonly log: Log;
  readonly runtime: Runtime;
  readonly emailKey: EmailKey;
  /** Whether persons need a key, and what makes it. */
  readonly personal: Pick<PersonalData, 'encrypt' | 'ring'>;
  readonly settings: UseCaseSettings;
}

/**
 * What accompanies a step of a command on the way to its last one. Its id is new each time: a step's own key is the
 * attempt, and it must be answered from what is, not from what an earlier call was told.
 */
export function stepMeta(meta: CommandMeta, runtime: Runtime, actor: string = meta.actor): CommandMeta {
  const { commandId, correlationId, traceparent, tracestate } = meta;
  return {
    commandId: runtime.id(),
    correlationId: correlationId ?? commandId,
    causationId: commandId,
    actor,
    traceparent,
    tracestate,
  };
}

/** Whether the caller may repeat the command: only then can there be an earlier answer to look for. */
export function isKeyed(meta: CommandMeta): boolean {
  return meta.fingerprint !== undefined && meta.fingerprint.length > 0;
}

/**
 * Runs a step that comes after the answer is decided. A fault must not turn a stored command into an error; what it
 * leaves is a dead claim, which the next one who wants the address takes over at once.
 */
export async function tidyUp(step: () => Promise<void>): Promise<void> {
  try {
    await step();
  } catch (error) {
    if (!(error instanceof EventStoreError)) throw error;
  }
}
