import type { Decision, Metadata } from '../../gen/jetledger/eventstore/v1/commit_pb.ts';
import { EventStoreError } from '../errors.ts';

/** What a command may carry of the caller's own. */
const MAX_KEYS = 32;
const MAX_BYTES = 4_096;
const KEY = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;

/** Metadata as a decision stores it, in the order of its keys. @throws EventStoreError `command/metadata`, which names the field */
export function storedMetadata(metadata: Readonly<Record<string, string>> | undefined): Metadata[] {
  if (metadata === undefined) return [];
  const entries = Object.entries(metadata);
  if (entries.length > MAX_KEYS)
    throw refused('metadata', `has ${entries.length} keys; use at most ${MAX_KEYS}`);
  let bytes = 0;
  for (const [key, value] of entries) {
    const field = `metadata[${JSON.stringify(key.slice(0, 80))}]`;
    if (!KEY.test(key)) {
      throw refused(
        field,
        'is no key; use 1 to 64 of A-Z, a-z, 0-9, "_", "." and "-", a letter or digit first',
      );
    }
    if (typeof value !== 'string' || !value.isWellFormed())
      throw refused(field, 'is not a text; give a string');
    bytes += key.length + Buffer.byteLength(value);
  }
  if (bytes > MAX_BYTES) throw refused('metadata', `has ${bytes} bytes; use at most ${MAX_BYTES}`);
  return entries.map(([key, value]) => ({ $typeName: 'jetledger.eventstore.v1.Metadata', key, value }));
}

function refused(field: string, problem: string): EventStoreError {
  return new EventStoreError('command/metadata', `The command's ${field} ${problem}. Nothing was stored.`);
}

const NONE: Readonly<Record<string, string>> = Object.freeze({});

/** The metadata of a stored decision. */
export function metadataOf({ metadata }: Decision): Readonly<Record<string, string>> {
  return metadata.length === 0 ? NONE : Object.fromEntries(metadata.map(({ key, value }) => [key, value]));
}
