import type { DescMessage, Message } from '@bufbuild/protobuf';
import type { EventSchema, EventSource } from '../../../eventstore/index.ts';
import type { Happened } from '../process.ts';

/** An event as other services get it. */
export interface PublicEvent<Data extends Message = Message> {
  /** That of the private event: the same for ever, also where it is published again. */
  readonly id: string;
  /** Who says it: the log, the context and the version of its contract. */
  readonly source: string;
  /** The full name of the data's message, which has the contract's version in it. */
  readonly type: string;
  /** The aggregate's id. */
  readonly subject: string;
  /** Among what this contract says of this aggregate: 1 and on, without gaps. */
  readonly sequence: number;
  /** When the private event was decided, in milliseconds since the Unix epoch. */
  readonly time: number;
  /** W3C trace context; empty when there was none. */
  readonly traceparent: string;
  readonly tracestate: string;
  readonly data: Data;
}

/**
 * What becomes public of each private event: nothing, or what the function returns, by the event's full name. Pure. An
 * event that is not named here does not compile.
 */
export type ToPublic<Event extends Message, Public extends Message> = {
  readonly [Type in Event['$typeName']]:
    | 'private'
    | ((event: Extract<Event, { readonly $typeName: Type }>, of: Happened) => Public | undefined);
};

/**
 * What other services may know of one kind of aggregate, in one version. Another version is another contract, published
 * from the beginning on a stream of its own.
 */
export interface PublicContract<Event extends Message, Public extends Message> {
  /** Lower-case letters, digits and `-`; part of subjects and stored keys, as the version is. */
  readonly context: string;
  /** 1 and on: that of the protos, as in `jetledger.public.orders.v1`. */
  readonly version: number;
  /** What it tells, in a few words, for the documents. */
  readonly tells: string;
  /** The aggregate whose events these are. */
  readonly source: EventSource;
  /** The schema of every public event. */
  readonly events: readonly EventSchema<Public>[];
  readonly toPublic: ToPublic<Event, Public>;
}

/** Says what becomes public of an event that it knows by its name; a method, since only those may know one event alone. */
interface OneEvent {
  says(event: Message, of: Happened): Message | undefined;
}

/** Any contract, for whoever takes all of them alike. */
export interface AnyContract extends Omit<PublicContract<Message, Message>, 'events' | 'toPublic'> {
  readonly events: readonly DescMessage[];
  readonly toPublic: Readonly<Record<string, 'private' | OneEvent['says']>>;
}

/** How a contract is called among all: `orders-v1`. */
export function contractName({ context, version }: Pick<AnyContract, 'context' | 'version'>): string {
  return `${context}-v${version}`;
}

/** What becomes public of an event. @throws RangeError for one that the contract does not know */
export function publicOf(
  { toPublic, ...contract }: AnyContract,
  event: Message,
  of: Happened,
): Message | undefined {
  const says = toPublic[event.$typeName];
  if (says === undefined)
    throw new RangeError(
      `The contract ${contractName(contract)} does not say what becomes public of ${event.$typeName}.`,
    );
  return says === 'private' ? undefined : says(event, of);
}
