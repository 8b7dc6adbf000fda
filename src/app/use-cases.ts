import type { OrderRejection } from '../domain/order.ts';
import type { OrderEvent, OrderState } from '../domain/order-state.ts';
import type { UserRejection } from '../domain/user.ts';
import type { UserEvent, UserState } from '../domain/user-state.ts';
import type { CommandMeta, CommandResult, ExecuteOptions } from '../eventstore/command.ts';
import type { Rejection } from '../eventstore/decider.ts';

/** A refusal by a use case itself, for example an address that is taken. */
export type UseCaseRejection<Code extends string> = Rejection & { readonly code: Code };

export type UserResult = CommandResult<
  UserState,
  UserEvent,
  UserRejection | UseCaseRejection<'user/email-taken'>
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
   * Ends the claim of an address whose registration or change never came (protocol 4); for a timer, some time after
   * the claim. `pending`: it is too young for that, look again; `settled`: nothing is left to do.
   */
  abandonStaleClaim(emailId: string): Promise<'settled' | 'pending'>;
  /** Looks up names and prices, then places the order and says until when it must be paid. */
  placeOrder(input: OrderRequest, meta: CommandMeta): Promise<OrderResult>;
}
