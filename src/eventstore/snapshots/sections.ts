import type { Message } from '@bufbuild/protobuf';
import { emptyCommandLog } from '../command-log.ts';
import type { AnyDecider, Decider, Rejection, Sections } from '../decider.ts';
import { type Folded, refold } from '../fold.ts';
import type { Log } from '../log.ts';
import type { StreamRef } from '../stream.ts';
import { MAX_BYTES, openSnapshot, type SnapshotStore, sealSnapshot, snapshotKey } from './stored.ts';

/** A section as it is in the store: what it was at a version of its aggregate. */
export interface StoredSection {
  readonly generation: number;
  readonly version: number;
  readonly content: unknown;
}

/** Under which key a section is kept. */
export function sectionKey(decider: AnyDecider, stream: StreamRef, index: number): string {
  return `${snapshotKey(decider, stream)}.${index}`;
}

/** A section as bytes: a snapshot of its own. */
export function sealSection(incarnation: string, index: number, section: StoredSection): Uint8Array {
  const { generation, version, content } = section;
  const state = [index, generation, content];
  return sealSnapshot(incarnation, { state, version, commands: emptyCommandLog(), confirmedAt: 0 });
}

/** The section in the bytes; undefined when they are damaged, of another incarnation, or another section. */
export function openSection(
  incarnation: string,
  index: number,
  bytes: Uint8Array,
): StoredSection | undefined {
  const opened = openSnapshot<readonly [number, number, unknown]>(incarnation, bytes);
  if (opened === undefined || !Array.isArray(opened.state)) return undefined;
  const [of, generation, content] = opened.state;
  return of === index ? { generation, version: opened.version, content } : undefined;
}

type SectionsOf<S, C> = Sections<S, C> | undefined;

/** Whether a head may be stored: the sections in the store, or newer ones, can be put into it. */
export function headFits<S, C>(sections: SectionsOf<S, C>, { state, sectionsStored }: Folded<S>): boolean {
  const generation = sections?.generationOf(state) ?? 0;
  return generation === 0 || (sectionsStored !== undefined && sectionsStored >= generation - 1);
}

/**
 * Whether it is this process's turn to store the sections: once a generation, and not for an aggregate of which it has
 * stored no commit, unless nobody else is known to have done it.
 */
export function sectionsDue<S, C>(sections: SectionsOf<S, C>, folded: Folded<S>): boolean {
  const generation = sections?.generationOf(folded.state) ?? 0;
  if (generation === 0 || folded.sectionsBegun === generation) return false;
  return folded.sectionsStored === undefined || (folded.cold === false && folded.sectionsStored < generation);
}

/**
 * Puts a stored section into the state. Any will do that was taken since the generation before began, since the state
 * knows every change from then on; one that has seen commits which the state has not must wait for them.
 * @returns whether it could be put
 */
export function putSection<S, C>(
  sections: Sections<S, C>,
  folded: Folded<S>,
  index: number,
  stored: StoredSection | undefined,
): boolean {
  if (stored === undefined || stored.version > folded.version) return false;
  if (stored.generation < sections.generationOf(folded.state) - 1) return false;
  folded.state = sections.put(folded.state, index, stored.content);
  return true;
}

/** Where sections are, and what they are made of when they are lost. */
interface Places {
  readonly store: SnapshotStore;
  readonly log: Log;
}

/** The section in the store, whatever its age. Never throws. */
export async function loadSection(
  { store, log }: Places,
  decider: AnyDecider,
  stream: StreamRef,
  index: number,
): Promise<StoredSection | undefined> {
  const bytes = await store.get(sectionKey(decider, stream, index)).catch(() => undefined);
  return bytes && openSection(log.incarnation, index, bytes);
}

/** How many sections are written in one go, before others are let in. */
const AT_ONCE = 16;

/**
 * Stores every section that nobody has stored in this generation. Commands go on meanwhile: each section is stored as it
 * is at its moment.
 * @param pause lets others in
 * @returns whether all are stored
 * @throws LogUnavailable, UnknownEventType, CorruptCommit, and what the store throws
 */
export async function writeSections<S, C, E extends Message, R extends Rejection>(
  places: Places,
  decider: Decider<S, C, E, R>,
  stream: StreamRef,
  folded: Folded<S>,
  pause: () => Promise<void>,
): Promise<boolean> {
  const { sections } = decider;
  if (sections === undefined) return true;
  const generation = sections.generationOf(folded.state);
  folded.sectionsBegun = generation;
  const { store, log } = places;
  for (let index = 0; index < sections.countIn(folded.state); index++) {
    if (index % AT_ONCE === AT_ONCE - 1) await pause();
    let content = sections.take(folded.state, index);
    if (content === undefined) {
      const stored = await loadSection(places, decider, stream, index);
      if (stored !== undefined && stored.generation >= generation) continue;
      if (!putSection(sections, folded, index, stored)) await refold(log, decider, stream, folded);
      folded.sectionsBegun = generation;
      content = sections.take(folded.state, index);
    }
    const taken = { generation: sections.generationOf(folded.state), version: folded.version, content };
    const bytes = sealSection(log.incarnation, index, taken);
    if (folded.untrusted || bytes.length > MAX_BYTES) return false;
    await store.put(sectionKey(decider, stream, index), bytes);
  }
  folded.sectionsStored = generation;
  return true;
}
