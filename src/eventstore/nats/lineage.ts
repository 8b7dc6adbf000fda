import type { StreamInfo } from '@nats-io/jetstream';
import type { FormerIncarnation, Lineage } from '../log.ts';
import { INCARNATION_KEY } from './log-stream.ts';

/** Where the metadata of a stream says what it was. Stored. */
const FORMER_KEY = 'jetledger.former-incarnations';

/** What a stream says of itself; one that never came back is known by when it was made. @internal */
export function lineageOf({
  created,
  config: { metadata = {} },
}: {
  readonly created: string;
  readonly config: Pick<StreamInfo['config'], 'metadata'>;
}): Lineage {
  const former = JSON.parse(metadata[FORMER_KEY] ?? '[]') as Lineage['former'];
  return { incarnation: metadata[INCARNATION_KEY] ?? created, former };
}

/**
 * What the metadata of a stream has to say that is put back. @param last the end of its copy @param incarnation a new one
 * @internal
 */
export function putBackMetadata(copied: Lineage, last: number, incarnation: string): Record<string, string> {
  const until = (one: FormerIncarnation): FormerIncarnation => ({ ...one, last: Math.min(one.last, last) });
  const former = [...copied.former, { incarnation: copied.incarnation, last }].map(until);
  return { [INCARNATION_KEY]: incarnation, [FORMER_KEY]: JSON.stringify(former) };
}

/**
 * Up to where a place of an incarnation is good now: what lay behind the end of the copy is gone, and other messages have
 * its sequences. Undefined when the stream does not come from that one.
 * @internal
 */
export function placeNow({ incarnation, former }: Lineage, of: string, place: number): number | undefined {
  if (of === incarnation) return place;
  const one = former.find((each) => each.incarnation === of);
  return one && Math.min(place, one.last);
}

/** In which incarnation a message was stored. @internal */
export function storedIn({ incarnation, former }: Lineage, sequence: number): string {
  return former.find(({ last }) => sequence <= last)?.incarnation ?? incarnation;
}
