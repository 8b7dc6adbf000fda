import type { Message } from '@bufbuild/protobuf';
import { expect } from 'vitest';
import type { Decider, Rejection } from '../../../src/eventstore/index.ts';

/** The time that every example's command carries, in milliseconds since the Unix epoch. */
export const AT = 1_700_000_000_000;

/** The same as it stands in events. */
export const AT_EVENT = BigInt(AT);

/** An example of a decider: given what happened, when a command is asked, then events, nothing or a rejection. */
export function given<State, Command, Event extends Message, R extends Rejection>(
  decider: Decider<State, Command, Event, R>,
  ...history: Event[]
) {
  const state = history.reduce(decider.evolve, decider.initial);
  return {
    state,
    when(command: Command) {
      const outcome = decider.decide(command, state);
      return {
        thenEvents: (...events: Event[]) => expect(outcome).toEqual(events),
        thenNothing: () => expect(outcome).toEqual([]),
        thenRejected(code: R['code'], details?: Rejection['details']) {
          expect(outcome).toEqual({
            code,
            message: expect.stringMatching(/^[A-Z].{10,110}\.$/),
            ...(details && { details }),
          });
        },
      };
    },
  };
}
