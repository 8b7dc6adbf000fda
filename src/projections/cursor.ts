import { InvalidCursor } from './read-models.ts';

/** A place in a list: the last key, or the index, that the page before ended with. */
export type Place = string | number;

/** What a cursor belongs to: the list, and the life of the log that its places come from. */
export interface CursorScope {
  readonly list: string;
  readonly incarnation: string;
}

/** A place as an opaque token of a URL. */
export function encodeCursor(scope: CursorScope, place: Place): string {
  return Buffer.from(JSON.stringify([scope.list, scope.incarnation, place])).toString('base64url');
}

/** The string that a cursor of this list holds; undefined without a cursor. @throws InvalidCursor */
export function keyOfCursor(scope: CursorScope, cursor: string | undefined): string | undefined {
  const place = decode(scope, cursor);
  if (place !== undefined && typeof place !== 'string') throw new InvalidCursor();
  return place;
}

/** The index, 1 or more, that a cursor of this list holds; undefined without a cursor. @throws InvalidCursor */
export function indexOfCursor(scope: CursorScope, cursor: string | undefined): number | undefined {
  const place = decode(scope, cursor);
  if (place === undefined) return undefined;
  if (typeof place !== 'number' || !Number.isSafeInteger(place) || place < 1) throw new InvalidCursor();
  return place;
}

function decode(scope: CursorScope, cursor: string | undefined): unknown {
  if (cursor === undefined) return undefined;
  let parts: unknown;
  try {
    parts = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
  } catch {
    throw new InvalidCursor();
  }
  if (!Array.isArray(parts) || parts.length !== 3) throw new InvalidCursor();
  const [list, incarnation, place] = parts as unknown[];
  if (list !== scope.list || incarnation !== scope.incarnation) throw new InvalidCursor();
  return place;
}
