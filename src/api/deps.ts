import type { Meter, Tracer } from '@opentelemetry/api';
import type { FastifyBaseLogger } from 'fastify';
import type { TSchema } from 'typebox';
import type { UseCases } from '../app/use-cases.ts';
import type { CommandHandler, Log, PersonalData, Position, Runtime, StreamRef } from '../eventstore/index.ts';
import type { AsyncApi, ConsumerStatus, DeadLetterPort } from '../processes/engine/index.ts';
import type { ViewReader } from '../projections/engine/index.ts';
import type { LiveOrders } from '../projections/views/live-fold.ts';
import type { Authentication } from './auth/identity.ts';
import type {
  AggregatesAdmin,
  BackupsAdmin,
  ConfigurationAdmin,
  Funnel,
  LogTail,
  NotificationsAdmin,
  PaymentInDoubt,
  RequestsAdmin,
  SituationAdmin,
  TimersAdmin,
  TracesAdmin,
  ViewsAdmin,
  WebhooksAdmin,
} from './operators/ports.ts';
import type { TypedApp } from './routes/app-type.ts';

/** What readiness says; every failing reason at once. */
export interface Readiness {
  readonly ok: boolean;
  readonly checks: Readonly<Record<string, { readonly ok: boolean; readonly detail?: string | undefined }>>;
}

export interface ApiSettings extends PreconditionSettings, BrowserSettings, ShareSettings {
  /** On what the service listens. */
  readonly host: string;
  /** Further names by which it may be called where authentication is off, separated by commas. */
  readonly allowedHosts: string;
  /** The largest request body, in bytes. */
  readonly bodyLimitBytes: number;
  /** How long a client may take to send its request, in milliseconds. */
  readonly requestTimeoutMs: number;
  /** A client that takes nothing of its answer for this long is cut off, in milliseconds. */
  readonly slowReaderMs: number;
  /** How often an idle stream is kept alive, in milliseconds. */
  readonly streamHeartbeatMs: number;
  /** The largest head of a request, in bytes. */
  readonly maxHeaderBytes: number;
  /** Proxies whose X-Forwarded-For is believed: addresses and networks, separated by commas; empty = none. */
  readonly trustProxy: string;
  readonly rateLimit: PaceSettings;
  /** How often a user's token may name an e-mail address. */
  readonly addressLimit: PaceSettings;
  readonly overload: {
    /** Mean delay of the event loop from which on requests are refused, in milliseconds; 0 = never. */
    readonly maxEventLoopDelayMs: number;
  };
  readonly cors: {
    /** Origins whose pages may call the API, separated by commas; `*` = all, empty = none. */
    readonly origins: string;
  };
  /** For example `development`; shown by health. */
  readonly environment: string;
  /** Of the service; shown by health and the OpenAPI document. */
  readonly version: string;
}

/** How a consumer stands on all instances together, and in this process. */
export interface ConsumerReport {
  readonly consumer: string;
  /** Commits that are stored and neither handled nor parked; of `notifications` and `webhooks`, messages that wait for receivers. */
  readonly lag: number;
  /** Age of the oldest of them, in seconds; 0 when there is none, and for what waits for receivers. */
  readonly lagSeconds: number;
  /** The oldest of them: its position, and when it was decided in milliseconds since the Unix epoch. */
  readonly oldest?: { readonly position: Position; readonly at: number };
  readonly parked: number;
  readonly paused: boolean;
  /** Who paused it, when in milliseconds since the Unix epoch, and why. */
  readonly pause?: { readonly by: string; readonly at: number; readonly reason?: string };
  /** Into how many groups it is shared, and how many of them are held by some instance. */
  readonly groups: { readonly of: number; readonly held: number };
  /** Which instance holds which of them. */
  readonly owners?: readonly { readonly group: number; readonly instance: string }[];
  /** Absent where this process does not run the consumer. */
  readonly here?: ConsumerHere;
}

/** What only the process that runs a consumer knows. */
export type ConsumerHere = Pick<
  ConsumerStatus,
  'groups' | 'held' | 'running' | 'retrying' | 'retries' | 'stopped' | 'lastError'
>;

/** Status and control of the consumers, on every instance. @throws LogUnavailable, OutcomeUnknown */
export interface ConsumersAdmin {
  status(): Promise<readonly ConsumerReport[]>;
  /** Whether there ever was such a consumer. */
  has(consumer: string): Promise<boolean>;
  /** False when there never was such a consumer. Nothing new is begun; what runs is finished. */
  pause(consumer: string, by: string, reason?: string): Promise<boolean>;
  /** False when there never was such a consumer. */
  resume(consumer: string, by: string): Promise<boolean>;
}

/** A position that views and reactions pass over. Times in milliseconds since the Unix epoch. */
export interface SkippedPosition {
  readonly position: Position;
  /** Whose commit lies there. */
  readonly stream: StreamRef;
  readonly reason: string;
  readonly at: number;
  /** Missing where it was erased. */
  readonly by?: string;
}

/** What operators have marked to be passed over. @throws LogUnavailable */
export interface SkipsAdmin {
  list(): Promise<readonly SkippedPosition[]>;
}

/** What the routes of health need to answer. */
export interface HealthDeps {
  /** `startup` says the same as `ready` until the process was ready once, and fine from then on. */
  readonly health: { ready(): Promise<Readiness>; startup(): Promise<Readiness> };
  readonly settings: Pick<ApiSettings, 'environment' | 'version'>;
}

/** A try to deliver an event. Times in milliseconds. */
export interface DeliveryTry {
  /** The event's. */
  readonly id: string;
  readonly type: string;
  readonly subject: string;
  readonly attempt: number;
  readonly at: number;
  readonly durationMs: number;
  readonly taken: boolean;
  readonly status?: number;
  readonly error?: string;
  /** The beginning of what was answered. */
  readonly answer?: string;
  /** Its place among the tries. */
  readonly sequence: number;
}

/** The tries that are kept of a webhook, or of `notifications`, the newest first. @throws LogUnavailable */
export interface DeliveryTries {
  list(receiver: string): Promise<readonly DeliveryTry[]>;
}

/** A notification as it is kept for a while. */
export interface KeptNotification {
  readonly id: string;
  readonly kind: string;
  readonly orderId?: string;
  readonly text: string;
  /** In milliseconds since the Unix epoch. */
  readonly time: number;
}

/** What is kept of persons beside the log, the views and dead letters. @throws LogUnavailable */
export interface PersonalRecords {
  /** What a user was told, the oldest first. */
  notifications(userId: string): AsyncIterable<KeptNotification>;
  /** The tries that are kept of all webhooks, and of notifications. */
  attempts(): AsyncIterable<DeliveryTry>;
  /** The id of the aggregate `email` of a normalised address: its digest under a key. */
  emailIdOf(address: string): string;
}

/** What the routes need to answer. */
export interface ServiceDeps {
  readonly handler: CommandHandler;
  readonly useCases: UseCases;
  /** For the history of an order. */
  readonly log: Log;
  readonly views: ViewReader;
  /** Opens what is sealed, on its way out. */
  readonly personal: PersonalData;
  /** Orders as they change. */
  readonly live: LiveOrders;
  readonly runtime: Runtime;
  /** For operators. */
  readonly admin: {
    readonly parked: DeadLetterPort;
    readonly consumers: ConsumersAdmin;
    readonly skips: SkipsAdmin;
    readonly requests: RequestsAdmin;
    readonly views: ViewsAdmin;
    readonly situation: SituationAdmin;
    readonly aggregates: AggregatesAdmin;
    readonly timers: TimersAdmin;
    readonly paymentsInDoubt: () => Promise<readonly PaymentInDoubt[]>;
    readonly notifications: NotificationsAdmin;
    readonly webhooks: WebhooksAdmin;
    readonly backups: BackupsAdmin;
    readonly configuration: ConfigurationAdmin;
    readonly log: LogTail;
    /** @throws LogUnavailable */
    readonly funnel: () => Promise<Funnel>;
    /** Where this process keeps some. */
    readonly traces?: TracesAdmin | undefined;
  };
  /** The types of all events that can be public, whether they are published now or not. */
  readonly publicTypes: readonly string[];
  /** Why nothing may be sent to the URL of a webhook, as far as it says so itself. */
  readonly refusalOfUrl: (url: string) => string | undefined;
  /** The secret of a webhook, which is told once. */
  readonly webhookSecret: (webhookId: string, secretId: string) => string;
  readonly deliveryTries: DeliveryTries;
  readonly personalRecords: PersonalRecords;
  readonly health: HealthDeps['health'];
  readonly settings: ApiSettings;
}

/** Everything the API is built from. */
export interface AppDeps extends ServiceDeps {
  /** What the API is made of; its routes stand in this order. */
  readonly modules: readonly ApiModule[];
  /** What is published for other services, as an AsyncAPI document. */
  readonly publicEvents: AsyncApi;
  /** True once the process is being stopped; then each answer ends its connection. */
  readonly stopping?: () => boolean;
  /** A pino instance, or false for silence. */
  readonly logger: FastifyBaseLogger | false;
  /** Requests are measured where there is a meter, and GET /metrics answers where there is something to scrape. */
  readonly metrics?: { readonly meter: Meter; readonly scrape: (() => Promise<string>) | undefined };
  /** Makes the spans of requests; undefined while tracing is off. */
  readonly tracer?: Tracer | undefined;
  readonly console: ConsoleSettings;
  /** Who verifies tokens. */
  readonly auth: Authentication;
  /** Stands for a token's user that must not be named in ids: a hash under a secret key. */
  readonly pseudonymOf: (user: string) => string;
  /** What makes a digest of a request one under a secret key, and whether it is stored so. */
  readonly fingerprints: {
    readonly keyed: (digest: Uint8Array) => Uint8Array<ArrayBuffer>;
    readonly storeKeyed: boolean;
  };
  /** Where the delay of the event loop is read, for tests; by default it is measured. */
  readonly eventLoopDelayMs?: () => number;
}

/** What the console is told. */
export interface ConsoleSettings {
  /** How people sign in, where tokens are asked for. */
  readonly oidc: ConsoleSignIn;
  /** Where a trace is shown, with `{traceId}` for its id; empty = nowhere else. */
  readonly traceUrl: string;
}

export interface ConsoleSignIn {
  /** The issuer of OpenID Connect whose pages people sign in on; empty = a token is pasted. */
  readonly issuer: string;
  readonly clientId: string;
  readonly scope: string;
}

export interface BrowserSettings {
  /** Whether the headers that keep browsers out of trouble are sent. */
  readonly securityHeaders: boolean;
  /** For how long browsers use TLS only; 0 = the header is not sent. */
  readonly hstsSeconds: number;
}

/** What may go on at once, in all and of one caller: a user where a token tells who it is, else an address. */
export interface ShareSettings {
  /** Live streams. */
  readonly maxStreams: number;
  readonly maxStreamsPerCaller: number;
  /** Answers that wait for a position or for the end of an order. */
  readonly maxWaits: number;
  readonly maxWaitsPerCaller: number;
  /** Lists that are read, or sent and not yet taken. */
  readonly maxLists: number;
  readonly maxListsPerCaller: number;
}

export interface PaceSettings {
  /** Requests of one client per window; 0 = as many as it likes. */
  readonly max: number;
  readonly windowMs: number;
}

/** What the operator demands of those who change something. */
export interface PreconditionSettings {
  /** A POST that takes an Idempotency-Key needs one. */
  readonly requireIdempotencyKey: boolean;
  /** A change of something that exists needs If-Match. */
  readonly requireIfMatch: boolean;
}

/** Routes that belong together, and what the OpenAPI document has to know of them: one entry of the service's list. */
export interface ApiModule {
  /** The tag of its operations, where the module brings one of its own. */
  readonly tag?: { readonly name: string; readonly description: string };
  /** The schemas that routes name by `$ref`; one that nobody lists stops the start. */
  readonly components: readonly TSchema[];
  /** Adds the routes. */
  routes(app: TypedApp, deps: ServiceDeps): void;
}
