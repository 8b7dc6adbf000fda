import type { Message } from '@bufbuild/protobuf';
import type { EventSchema } from '../../../eventstore/index.ts';
import type { Cause, ReactionContext } from '../cause.ts';
import type { MessageReaction } from '../message-stream.ts';
import type { Policy } from '../reaction.ts';
import type { Start } from '../start.ts';
import { publicEventOf } from './cloud-event.ts';
import type { PublicEvent } from './contract.ts';

/** What a service does about another one's public events. */
export interface PublicReaction<Data extends Message> {
  /** As a reaction's. */
  readonly name: string;
  /** Where it begins when it runs for the first time: at the beginning, now, or with what was published at a time or later. */
  readonly from: Start;
  /** The schemas of the events that it wants; all others are passed over. */
  readonly events: readonly EventSchema<Data>[];
  /**
   * Called at least once for each, in order for each aggregate. Commands of `cause` are safe to repeat, also where the event
   * is published again; for other effects `event.id` is the idempotency key.
   */
  handle(event: PublicEvent<Data>, cause: Cause, context: ReactionContext): Promise<void>;
  readonly policy?: Policy;
}

/** Makes it one that the engine runs on the contract's stream, see `openMessageStream`. */
export function onPublicEvents<Data extends Message>({
  name,
  from,
  events,
  handle,
  policy,
}: PublicReaction<Data>): MessageReaction {
  return {
    name,
    from,
    ...(policy && { policy }),
    handle: async (message, context) => {
      const event = publicEventOf(message, events);
      if (event === undefined) return;
      const { id, traceparent, tracestate } = event;
      const cause = context.causedBy({
        ...message,
        id,
        commandId: id,
        correlationId: id,
        traceparent,
        tracestate,
      });
      // Its schema is one of those that were asked for.
      await handle(event as PublicEvent<Data>, cause, context);
    },
  };
}
