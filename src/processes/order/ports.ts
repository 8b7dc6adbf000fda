import { numberOf, type Position } from '../../eventstore/index.ts';
import { RetryLater } from '../engine/index.ts';

/** What the order side knows of a customer. */
export type CustomerStatus = 'active' | 'deactivated' | 'forgotten' | 'unknown';

/** The order side's own list of customers, built from user events only. */
export interface CustomerDirectory {
  /**
   * What is known when every user event up to a position of the log has been seen; waits for that (protocol 12).
   * @throws NotSeenYet when it does not get there in time, LogUnavailable
   */
  customer(userId: string, asOfPosition: Position): Promise<CustomerStatus>;
}

/** Which orders are not final yet. */
export interface OpenOrders {
  /**
   * The ids of a user's orders that are placed or confirmed, when every order event up to a position of the log has
   * been seen; waits for that (protocol 12).
   * @throws NotSeenYet when it does not get there in time, LogUnavailable
   */
  ofUser(userId: string, asOfPosition: Position): AsyncIterable<string>;
  /** The ids of all orders that are placed; may lag behind. @throws LogUnavailable */
  awaitingPayment(): AsyncIterable<string>;
}

/** A list that a decision must not be based on yet; trying again is right. */
export class NotSeenYet extends RetryLater {
  constructor(what: string, position: Position) {
    super(`The ${what} has not seen position ${numberOf(position)} of the log yet.`);
  }
}

/**
 * Ends the claim of an address whose registration or change never came: abandons the attempt, then releases the
 * claim. `pending`: too young to be ended; `settled`: it was ended, or needs no ending.
 */
export type AbandonStaleClaim = (emailId: string) => Promise<'settled' | 'pending'>;

/**
 * Forgets a person whose time has come, as of a moment in milliseconds since the Unix epoch. `settled`: nothing is left to
 * do; `not-erased`: it was forgotten before, and its key is still there; `overtaken`: the user was changed, look again.
 */
export type ForgetWhenDue = (userId: string, at: number) => Promise<'settled' | 'not-erased' | 'overtaken'>;

/** Asks whoever may do that to destroy the key of a person who was forgotten. @throws LogUnavailable; repeating is safe */
export type AskToErase = (userId: string) => Promise<void>;
