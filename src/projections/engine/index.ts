/**
 * The door of the kernel's second part: views of the log, how they are kept, read, listed and rebuilt.
 * A view is a `Projection`; `startProjections` keeps it, `createViewReader` reads it, `rebuild` makes it anew.
 */
export { type Buckets, createAliases } from './aliases.ts';
export { readLowest } from './checkpoint.ts';
export { type DeadLetterRow, readDeadLetterRows } from './dead-letters.ts';
export { createFactDecoder, foldRow } from './facts.ts';
export { groupCountOf } from './groups.ts';
export { IndexUnusable } from './lists/index-errors.ts';
export {
  type CursorScope,
  encodeCursor,
  indexOfCursor,
  type ListQuery,
  readRows,
} from './lists/index-pages.ts';
export type { IndexStore } from './lists/index-store.ts';
export { appendEntry, type ListRow, readList, sealFullPage } from './lists/list.ts';
export { createSqliteIndexes, type SqliteIndexesOptions } from './lists/sqlite-indexes.ts';
export {
  behindPrefix,
  type Digest,
  type IndexEntry,
  type IndexList,
  type IndexValue,
  listFor,
  plainRows,
  type RowPrivacy,
  type ViewIndex,
} from './lists/view-index.ts';
export { createMembers } from './members.ts';
export type { ProjectionObserver, RebuildProgress } from './observer.ts';
export { type ForeignRecord, readForeign } from './passed/foreign.ts';
export { differInSkips } from './passed/skips.ts';
export { type EventContext, type Projection, versionOf } from './projection.ts';
export {
  InvalidCursor,
  ListNotBuilt,
  type Page,
  type PageRequest,
  type ReadOptions,
  type ReadRow,
  ViewBehind,
  type ViewStatus,
} from './reading.ts';
export { type RebuildDeps, type RebuildResult, rebuild, refoldOne, rollback } from './rebuild/rebuild.ts';
export type { StartFrom } from './rebuild/start-from.ts';
export { parseRow } from './rows.ts';
export { defaultProjectionSettings, type ProjectionSettings } from './settings.ts';
export { type Projections, startProjections } from './start.ts';
export { meterProjections } from './telemetry/metrics.ts';
export { traceProjections } from './telemetry/traces.ts';
export { isRowId } from './view-access.ts';
export { createViewReader, type ViewReader, type ViewReaderDeps } from './view-reader.ts';
