import type { Message } from '@bufbuild/protobuf';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { OrderState } from '../domain/order.ts';
import type { ProductState } from '../domain/product.ts';
import type { UserState } from '../domain/user.ts';
import type { CommandResult, Rejection } from '../eventstore/index.ts';

import { problemOfRefusal, sendProblem } from './problem-reply.ts';
import type { OrderBody } from './schemas/order.ts';
import type { ProductBody } from './schemas/product.ts';
import type { UserBody } from './schemas/user.ts';

/** A user as a command leaves it. An accepted command never leaves one that does not exist. */
export function userBody(id: string, state: UserState): UserBody {
  if (!('email' in state)) throw absent('user');
  const { email, name, status, pending } = state;
  return { id, email, name, status, ...(pending !== undefined && { pendingEmail: pending.email }) };
}

/** A product as a command leaves it; amounts are within JSON's exact integers by the domain's rules. */
export function productBody(sku: string, state: ProductState): ProductBody {
  if (state.status === 'absent') throw absent('product');
  const { name, priceMinor, currency, status } = state;
  const [onHand, reserved] = [Number(state.onHand), Number(state.reserved)];
  const stock = { onHand, reserved, available: onHand - reserved };
  return { sku, name, price: { amountMinor: Number(priceMinor), currency }, status, ...stock };
}

/** An order as a command leaves it. */
export function orderBody(id: string, state: OrderState): OrderBody {
  if (state.status === 'absent') throw absent('order');
  const { userId, status, items, totalMinor, currency } = state;
  const lines = items.map(({ sku, quantity }) => ({ sku, quantity }));
  const total = { amountMinor: Number(totalMinor), currency };
  const step = 'step' in state && { step: state.step };
  const reason = state.status === 'rejected' && { reason: { code: state.code, text: state.reason } };
  return { id, userId, status, ...step, ...reason, lines, total };
}

function absent(what: string): Error {
  return new Error(`A command was accepted that left no ${what}`);
}

/** What a route says about the answer to its command. */
export interface Answering<State, Event> {
  /** The body without version and position. */
  readonly body: (state: State, events: readonly Event[]) => object;
  /** The address of what was created; makes an accepted command a 201. */
  readonly created?: string;
}

/**
 * Turns what became of a command into HTTP; the only place that does.
 * Accepted or nothing to do: the state after it, with `ETag` and `Position`; else a problem.
 */
export function answer<State, Event extends Message, R extends Rejection>(
  request: FastifyRequest,
  reply: FastifyReply,
  result: CommandResult<State, Event, R>,
  { body, created }: Answering<State, Event>,
): FastifyReply {
  if (result.outcome !== 'accepted' && result.outcome !== 'unchanged') {
    return sendProblem(request, reply, problemOfRefusal(result, request.headers['if-match'] !== undefined));
  }
  const { version, state } = result;
  reply.header('etag', `"${version}"`).header('position', String(version));
  if (created !== undefined) reply.header('location', created);
  reply.code(created !== undefined && result.outcome === 'accepted' ? 201 : 200);
  const events = result.outcome === 'accepted' ? result.events : [];
  // Node 20 makes a hidden class of its own for each spread with more fields behind it.
  return reply.send(Object.assign(body(state, events), { version, position: version }));
}
