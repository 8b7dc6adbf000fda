import type { LedgerParts, Reaction } from 'jetledger';

/** Something that others are told. The same id again is the same announcement: whoever gets it looks at the id. */
export interface Announcement {
  readonly id: string;
  readonly category: string;
  /** Of the aggregate. */
  readonly of: string;
  readonly what: string;
}

/** What reactions reach beside the ledger. */
export interface Ports {
  readonly announce: (announcement: Announcement) => Promise<void>;
}

/** A reaction by its name, made with what it needs. */
export interface ReactionDefinition {
  /** For ever: its place in the log is kept under it. */
  readonly name: string;
  readonly create: (ports: Ports, parts: LedgerParts) => Reaction;
}
