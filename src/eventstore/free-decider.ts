import type { Message } from '@bufbuild/protobuf';
import type { Decider, Rejection } from './decider.ts';

/** A decision of the caller's own: from the state, which may lack sections, to events or a rejection. Pure, as `decide`. */
export type FreeCommand<State, Event extends Message, R extends Rejection> = (
  state: State,
) => readonly Event[] | R;

type FreeDecider<S, E extends Message, R extends Rejection> = Decider<S, FreeCommand<S, E, R>, E, R>;

// One for each: its codec and the name of its fold are made once.
const made = new WeakMap<object, unknown>();

/** The same aggregate, with the caller's own decisions; folds, snapshots and cached states are shared with it. */
export function freely<S, C, E extends Message, R extends Rejection>(
  decider: Decider<S, C, E, R>,
): FreeDecider<S, E, R> {
  const known = made.get(decider);
  // Made of this very decider.
  if (known !== undefined) return known as FreeDecider<S, E, R>;
  const { sections } = decider;
  const free: FreeDecider<S, E, R> = {
    ...decider,
    sections: sections && { ...sections, missing: () => undefined },
    decide: (command, state) => command(state),
  };
  made.set(decider, free);
  return free;
}
