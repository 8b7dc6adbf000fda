import type { StreamRef } from '../../eventstore/index.ts';
import type { DeadLetter } from '../../processes/engine/index.ts';
import type { TraceSpan, TraceSummary } from './trace-schemas.ts';

/** What an operator may ask for. */
export type Action = 'redrive' | 'discard' | 'pause' | 'resume' | 'rebuild' | 'rollback' | 'refold';

/** How far a request is. `asked` = nobody has begun; `cancelled` and `failed` leave everything as it was. */
export type RequestState = 'asked' | 'running' | 'done' | 'failed' | 'cancelled';

/** What somebody wants, and who. */
export interface Wish {
  readonly id: string;
  readonly action: Action;
  /** A consumer, a view, or which dead letters, in words. */
  readonly target: string;
  readonly by: string;
  readonly reason: string;
  /** Of a rebuild: at most so many commits a second. */
  readonly commitsPerSecond?: number | undefined;
  /** The aggregate whose dead letters are meant, where they are of one. */
  readonly stream?: StreamRef | undefined;
  /** Of `refold`: whose row. */
  readonly aggregate?: string | undefined;
}

/** How far a new bucket is. */
export interface Progress {
  readonly applied: number;
  readonly total: number;
  readonly etaSeconds: number;
}

/** A request of an operator, kept as data. Times in milliseconds since the Unix epoch. */
export interface OperatorRequest extends Wish {
  readonly at: number;
  readonly state: RequestState;
  /** Grows with every change of what was asked; its ETag. */
  readonly revision: number;
  readonly endedAt?: number | undefined;
  /** What came of it, in a sentence. */
  readonly result?: string | undefined;
  /** Of those that mark dead letters: how many were marked. */
  readonly marked?: number | undefined;
  readonly progress?: Progress | undefined;
  /** Keys of rows that differ between the old bucket of a view and the new one, the first of them. */
  readonly differing?: readonly string[] | undefined;
  readonly cancelledBy?: string | undefined;
}

/** The requests of all operators, from whichever process. @throws LogUnavailable, OutcomeUnknown; repeating is safe */
export interface RequestsAdmin {
  /** Newest first; the last 500 are kept. */
  list(): Promise<readonly OperatorRequest[]>;
  find(id: string): Promise<OperatorRequest | undefined>;
  /**
   * Writes it down, for whoever owns the target. Where one of this id was written before, or one that changes the same
   * view is not ended yet, that one is answered.
   */
  ask(wish: Wish): Promise<OperatorRequest>;
  /** Writes down what came of one that this process has carried out itself. */
  end(id: string, outcome: Pick<OperatorRequest, 'state' | 'result' | 'marked'>): Promise<void>;
  /** Asks whoever carries it out to stop; undefined where there is none, or the revision is another by now. */
  cancel(id: string, by: string, revision?: number): Promise<OperatorRequest | undefined>;
}

/** How a view stands, from what it has stored. */
export interface ViewSituation {
  readonly view: string;
  readonly state: 'sound' | 'never-run' | 'lost' | 'foreign' | 'other-version';
  readonly bucket?: string;
  readonly version?: string;
  readonly groups?: number;
  readonly position: number;
  readonly lag: number;
  /** When its checkpoint was written, in milliseconds since the Unix epoch. */
  readonly checkpointAt?: number;
  readonly rows?: number;
  /** Rows that are dead letters. */
  readonly parked: readonly { readonly id: string; readonly position: number; readonly reason: string }[];
}

/** A process of the service, as it last said of itself. Times in milliseconds since the Unix epoch. */
export interface Instance {
  readonly id: string;
  readonly name: string;
  readonly roles: readonly string[];
  readonly version: string;
  readonly node: string;
  readonly startedAt: number;
  readonly seenAt: number;
  /** What is tried again there, and why. */
  readonly retrying: readonly { readonly consumer: string; readonly count: number; readonly error: string }[];
}

/** The servers, the log and the processes. */
export interface Situation {
  readonly log: {
    readonly stream: string;
    readonly incarnation: string;
    readonly head: number;
    readonly commits: number;
    readonly bytes: number;
    readonly copies: { readonly wanted: number; readonly missing: readonly string[] };
    readonly leader?: string | undefined;
  };
  readonly storage?: { readonly usedBytes: number; readonly limitBytes: number };
  /** Those whose monitoring endpoint is known, else the one that this process is connected to. */
  readonly servers: readonly {
    readonly name: string;
    readonly version: string;
    readonly syncAlways?: boolean;
    readonly illness?: string | undefined;
    readonly memoryBytes?: number;
  }[];
  readonly instances: readonly Instance[];
}

/** An aggregate that a search found, and by what. */
export interface FoundAggregate extends StreamRef {
  readonly by: 'id' | 'email' | 'payment' | 'reference';
}

/** A change of one field of a state, by its path; absent = it was not there, or is not any more. */
export interface Change {
  readonly path: string;
  readonly before?: unknown;
  readonly after?: unknown;
}

/** An aggregate as it was at a version, folded from the log. */
export interface PastState extends StreamRef {
  /** Of the commit at or before the one that was asked for. */
  readonly version: number;
  /** The newest one there is. */
  readonly latest: number;
  /** How many commits it is made of. */
  readonly commits: number;
  readonly state: unknown;
  /** What its last commit changed. */
  readonly changes: readonly Change[];
}

/** A commit for an operator. */
export interface ShownCommit {
  readonly position: number;
  readonly commitId: string;
  readonly decisions: readonly {
    readonly time: string;
    readonly actor: string;
    readonly commandId: string;
    readonly correlationId: string;
    readonly causationId: string;
    readonly traceId: string;
    readonly events: readonly {
      readonly type: string;
      readonly schemaVersion: number;
      readonly payload: unknown;
    }[];
  }[];
}

/** A timer: `held` = not armed yet, since most are not needed in the end; `fired` = nobody has handled it yet. */
export interface ShownTimer {
  readonly kind: string;
  /** Of the aggregate; undefined for a kind that this version does not know. */
  readonly category: string | undefined;
  /** The aggregate's. */
  readonly id: string;
  /** When it is due, in milliseconds since the Unix epoch. */
  readonly at: number;
  readonly state: 'held' | 'armed' | 'fired';
}

/** The timers, the soonest first; not `complete` where there are more than are looked at. @throws LogUnavailable */
export type TimersAdmin = () => Promise<{
  readonly items: readonly ShownTimer[];
  readonly total: number;
  readonly complete: boolean;
}>;

/** A payment of which nothing is known for longer than it takes. Times in milliseconds since the Unix epoch. */
export interface PaymentInDoubt {
  /** The order's. */
  readonly id: string;
  readonly step: 'authorise' | 'capture' | 'return';
  /** Of the commit that is being handled. */
  readonly position: number;
  readonly since: number;
  /** Whether it waits for an operator; else it is tried again. */
  readonly parked: boolean;
  readonly error?: string;
}

/** A commit that a consumer has read and not done. */
export interface UnderWay {
  readonly consumer: string;
  readonly position: number;
  /** When the commit was decided, in milliseconds since the Unix epoch. */
  readonly since: number;
}

/** What an aggregate waits for, besides operators. */
export interface WaitingHere {
  readonly timers: readonly ShownTimer[];
  readonly underWay: readonly UnderWay[];
}

/** How the delivery of notifications stands. Times in milliseconds since the Unix epoch. */
export interface NotificationsSituation {
  /** As the place of their delivery is stored: not read yet, read and not through, of these those that failed. */
  readonly queue?: { readonly waiting: number; readonly open: number; readonly retried: number };
  /** When the oldest that is not through was published. */
  readonly oldestAt?: number;
  readonly kept: number;
  /** Those that were given up. */
  readonly dead: number;
  readonly recent: readonly {
    readonly id: string;
    readonly kind: string;
    readonly userId: string;
    readonly orderId?: string;
    readonly at: number;
    readonly state: 'waiting' | 'begun' | 'through' | 'unknown';
  }[];
}

/** @throws LogUnavailable */
export type NotificationsAdmin = () => Promise<NotificationsSituation>;

/** How a webhook stands. Times in milliseconds since the Unix epoch. */
export interface WebhookSituation {
  readonly id: string;
  readonly url: string;
  readonly description: string;
  readonly status: 'enabled' | 'disabled';
  readonly cause: string | undefined;
  readonly reason: string | undefined;
  /** Tests and redeliveries that are not through. */
  readonly waiting: number;
  /** Events that were read and are not delivered; of them, those that have failed so far, and the most tries of one. */
  readonly open: number;
  readonly retrying: number;
  readonly attempts: number;
  /** Events of all behind its place, while it does not read on. */
  readonly unread: number;
  /** When the first of these happened. */
  readonly oldestAt: number | undefined;
  readonly takenAt: number | undefined;
  readonly pausedUntil: number | undefined;
  readonly lastTry:
    | {
        readonly at: number;
        readonly taken: boolean;
        readonly status: number | undefined;
        readonly error: string | undefined;
      }
    | undefined;
}

/** A page of webhooks, the newest first. @throws LogUnavailable, InvalidCursor, ListNotBuilt */
export type WebhooksAdmin = (page: {
  readonly status?: 'enabled' | 'disabled' | undefined;
  readonly limit: number;
  readonly cursor?: string | undefined;
}) => Promise<{ readonly items: readonly WebhookSituation[]; readonly next?: string }>;

/** What was noted of backups. Times in milliseconds since the Unix epoch. */
export interface BackupsSituation {
  readonly taken?:
    | {
        readonly at: number;
        readonly bytes: number;
        /** Last position of the log in it. */
        readonly last: number;
        readonly streams: number;
        readonly version: string;
      }
    | undefined;
  /** The last proof of one: when that was taken, and what is wrong with it. */
  readonly proved?:
    | {
        readonly at: number;
        readonly takenAt: number;
        readonly last: number;
        readonly ok: boolean;
        readonly problem?: string | undefined;
      }
    | undefined;
  /** That this log was brought back, and from which one. */
  readonly restored?: { readonly at: number; readonly takenAt: number; readonly last: number } | undefined;
}

/** @throws LogUnavailable */
export type BackupsAdmin = () => Promise<BackupsSituation>;

/** A value of a setting, and which processes have it. A secret that is set reads `***`. */
export interface SettingValue {
  /** Undefined where it is the default of another version. */
  readonly value: string | undefined;
  /** The file or variable that it comes from. */
  readonly origin: string;
  /** Ids of processes. */
  readonly instances: readonly string[];
}

/** What the processes run with, and how they differ. */
export interface Configuration {
  readonly instances: readonly Pick<Instance, 'id' | 'name' | 'roles' | 'version'>[];
  /** By name; more than one value where processes differ. */
  readonly items: readonly { readonly name: string; readonly values: readonly SettingValue[] }[];
}

/** @throws LogUnavailable */
export type ConfigurationAdmin = () => Promise<Configuration>;

/** Aggregates as their events make them. @throws LogUnavailable, UnknownEventType, CorruptCommit */
export interface AggregatesAdmin {
  /** By id, SKU, e-mail address, external reference, or payment id, this among the newest orders only. */
  find(text: string): Promise<readonly FoundAggregate[]>;
  /** Undefined where the log has none. @param version the position of one of its commits, or any after it */
  at(stream: StreamRef, version?: number): Promise<PastState | undefined>;
  commits(
    stream: StreamRef,
    range: { readonly after: number; readonly limit: number },
  ): Promise<{ readonly items: readonly ShownCommit[]; readonly next?: number }>;
  /** What it waits for: its dead letters, timers and consumers. */
  waitsFor(stream: StreamRef): Promise<WaitingHere & { readonly deadLetters: readonly DeadLetter[] }>;
}

/** How often something happened to orders. */
export interface FunnelCounts {
  readonly placed: number;
  readonly validated: number;
  readonly reserved: number;
  readonly paid: number;
  readonly confirmed: number;
  readonly cancelled: number;
  /** By the code, the most frequent first. */
  readonly rejected: readonly { readonly code: string; readonly count: number }[];
}

/** Orders at a step. */
export interface WaitingOrders {
  readonly step: 'customer_validation' | 'inventory' | 'payment';
  /** Up to a bound; `more` says whether there are more than that. */
  readonly count: number;
  readonly more: boolean;
  /** The first of them; since when each is at the step. Times in ISO 8601. */
  readonly oldest: readonly { readonly id: string; readonly placedAt: string; readonly since: string }[];
}

/** Orders as a funnel. Times in milliseconds since the Unix epoch. */
export interface Funnel {
  readonly at: number;
  /** Everything is counted from here on. */
  readonly since: number;
  /** False while the log is being read. */
  readonly isComplete: boolean;
  readonly hour: FunnelCounts;
  readonly day: FunnelCounts;
  /** Absent while the list of them is being made. */
  readonly waiting?: readonly WaitingOrders[];
}

/** Which commits a reader of the log wants; all that is named must fit exactly. */
export interface LogWish {
  readonly category?: string;
  readonly id?: string;
  /** Of one of its events, as it is stored. */
  readonly type?: string;
  /** Who asked for one of its decisions. */
  readonly actor?: string;
  /** Begins with so many that are there already, at most. */
  readonly last: number;
  /** Only behind this position. */
  readonly after?: number;
}

/** What comes next of the log for a reader. */
export interface LogPart {
  readonly commits: readonly (StreamRef & ShownCommit)[];
  /** How many more there were before these, which the reader was too slow for. */
  readonly omitted: number;
}

/** The log as it grows. */
export interface LogTail {
  watch(wish: LogWish): {
    /** Waits for what comes next; undefined once it is closed. One call at a time. @throws LogUnavailable */
    next(): Promise<LogPart | undefined>;
    close(): void;
  };
}

/** What operators see of views, servers and processes. @throws LogUnavailable */
export interface ViewsAdmin {
  list(): Promise<readonly ViewSituation[]>;
  readonly names: readonly string[];
}

/** The last traces of this process, in memory. */
export interface TracesAdmin {
  /** The newest first. */
  list(limit: number): readonly TraceSummary[];
  /** Its spans by their begin; undefined when it is not kept. */
  trace(traceId: string): readonly TraceSpan[] | undefined;
}

export type SituationAdmin = () => Promise<Situation>;
