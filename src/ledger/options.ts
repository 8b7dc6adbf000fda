import type {
  AnyDecider,
  EventSource,
  Handler,
  Log,
  PersonalData,
  RecordedCommit,
  StoreObserver,
  Until,
} from '../eventstore/index.ts';
import type { ConsumerStatus, EngineObserver, Reaction } from '../processes/engine/index.ts';
import type { Projection, ProjectionObserver, ViewReader, ViewStatus } from '../projections/engine/index.ts';
import type { MakeLedgerOptions } from './make.ts';
import type { PersonalOptions } from './personal.ts';
import type { Server } from './server.ts';
import type { LedgerView } from './view.ts';

/** The parts of a ledger: for reactions, which execute commands, and for whoever takes one part only. */
export interface LedgerParts {
  readonly log: Log;
  readonly handler: Handler;
  /** Reads rows and lists of every view. */
  readonly reader: ViewReader;
  /** Opens what is sealed in rows and events, for whoever shows or sends it. */
  readonly personal: PersonalData;
}

/** What a ledger is made of. */
export interface LedgerOptions extends Omit<MakeLedgerOptions, 'nats'> {
  /** Which NATS; an embedded server with its data in `.jetledger` unless given. */
  readonly nats?: MakeLedgerOptions['nats'];
  /** The kinds of aggregates. */
  readonly aggregates: readonly AnyDecider[];
  readonly views?: readonly Projection[];
  /** Seals fields of events that are marked as a person's; without it they are stored in plain. */
  readonly personal?: PersonalOptions;
  /** What reacts to events, made of the parts of the ledger, since reactions execute commands. */
  readonly reactions?: (parts: LedgerParts) => readonly Reaction[];
  /** Told of everything that is done, for metrics, traces and lines of a log. */
  readonly observers?: {
    readonly store?: StoreObserver;
    readonly views?: ProjectionObserver;
    readonly reactions?: EngineObserver;
  };
  /** Told of what an operator should know: a view or a reaction that has stopped. A warning of the process unless given. */
  readonly onTrouble?: (what: string, error: unknown) => void;
}

/** How a ledger stands. */
export interface LedgerStatus {
  readonly connected: boolean;
  readonly views: readonly ViewStatus[];
  readonly reactions: readonly ConsumerStatus[];
}

/** An open ledger: the commands, reads and state of a service. */
export interface Ledger extends Omit<Handler, 'close'>, LedgerParts {
  /** The connection, for what the kernel does not do. */
  readonly server: Server;
  /** An aggregate's commits from the first, up to a point when one is given. @throws LogUnavailable */
  history(source: EventSource, id: string, until?: Until): AsyncGenerator<RecordedCommit>;
  /** The rows of a view, by the view itself or by its name. @throws RangeError when the ledger has no such view */
  view<Row>(view: Projection<Row>): LedgerView<Row>;
  view(name: string): LedgerView<unknown>;
  /**
   * Forgets a person, for good: once this resolves, no process can open what is sealed with its key (protocol 36). May be
   * repeated. @throws KeysUnavailable, also where `personal` was not given; LogUnavailable, OutcomeUnknown: try again
   */
  forget(person: string): Promise<void>;
  /** How it stands now. @throws LogUnavailable */
  status(): Promise<LedgerStatus>;
  /** Finishes what is under way, writes what waits, and ends all of it, the embedded server included. May be called again. */
  close(): Promise<void>;
}
