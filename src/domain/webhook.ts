import { create, type MessageShape } from '@bufbuild/protobuf';
import type { Decider, Rejection } from '../eventstore/index.ts';
import {
  WebhookChangedSchema,
  WebhookCreatedSchema,
  WebhookDisabledSchema,
  WebhookEnabledSchema,
  WebhookRedeliveryRequestedSchema,
  WebhookRemovedSchema,
  WebhookRequestCompletedSchema,
  WebhookSecretRotatedSchema,
  WebhookTestRequestedSchema,
} from '../gen/jetledger/webhook/v1/webhook_pb.ts';
import { isAggregateId, normaliseGivenReason, normaliseReason, rejected, type Timed } from './values.ts';

const events = [
  WebhookCreatedSchema,
  WebhookChangedSchema,
  WebhookSecretRotatedSchema,
  WebhookDisabledSchema,
  WebhookEnabledSchema,
  WebhookRemovedSchema,
  WebhookTestRequestedSchema,
  WebhookRedeliveryRequestedSchema,
  WebhookRequestCompletedSchema,
] as const;

/** What can happen to a webhook. */
export type WebhookEvent = MessageShape<(typeof events)[number]>;

/** What is sent where. */
export interface WebhookTerms {
  /** As `new URL(...)` spells it. */
  readonly url: string;
  /** Of the events: whole, or the beginning before a star. */
  readonly types: readonly string[];
  /** Ids of the aggregates whose events are sent; none = all. */
  readonly subjects: readonly string[];
  readonly description: string;
  /** Whether a later event of an aggregate waits for the earlier ones. */
  readonly ordered: boolean;
}

/** A stream, and a sequence in it. */
export interface EventPlace {
  readonly source: string;
  readonly position: number;
}

/** A test, one event again, or those of a period again (milliseconds since the Unix epoch; `until` exclusive). */
export type WebhookRequest = { readonly requestId: string; readonly at: number } & (
  | { readonly kind: 'test' }
  | { readonly kind: 'event'; readonly eventId: string; readonly place: EventPlace | undefined }
  | { readonly kind: 'period'; readonly since: number; readonly until: number | undefined }
);

/** Why nothing is sent. */
export type DisableCause = 'operator' | 'failing' | 'gone';

/** A webhook that was created and not removed. Times in milliseconds since the Unix epoch. */
export interface LiveWebhook extends WebhookTerms {
  readonly status: 'enabled' | 'disabled';
  readonly cause: DisableCause | undefined;
  readonly reason: string;
  readonly createdAt: number;
  /** When it was enabled, changed or created last: failures of before count no more. */
  readonly renewedAt: number;
  readonly secretId: string;
  /** The secret before, which signs too until then. */
  readonly previous: { readonly secretId: string; readonly until: number } | undefined;
  /** What was requested and is not through. */
  readonly requests: readonly WebhookRequest[];
  /** How the last one that is through ended. */
  readonly completed: CompletedRequest | undefined;
}

export interface CompletedRequest {
  readonly requestId: string;
  /** How many events were taken, and how many were not. */
  readonly delivered: number;
  readonly failed: number;
}

export type WebhookState = { readonly status: 'absent' | 'removed' } | LiveWebhook;

/** What can be asked of a webhook. */
export type WebhookCommand = Timed<
  | ({ type: 'create'; webhookId: string; secretId: string } & WebhookTerms)
  | ({ type: 'change' } & Partial<WebhookTerms>)
  /** `overlapMs`: for how long the secret before signs too. */
  | { type: 'rotateSecret'; secretId: string; overlapMs: number }
  | { type: 'disable'; cause: DisableCause; reason: string }
  | { type: 'enable' }
  | { type: 'remove' }
  | { type: 'requestTest'; requestId: string }
  | { type: 'requestEvent'; requestId: string; eventId: string; place?: EventPlace }
  | { type: 'requestPeriod'; requestId: string; since: number; until: number | undefined }
  | { type: 'complete'; requestId: string; delivered: number; failed: number }
>;

type CommandOf<Type> = Extract<WebhookCommand, { type: Type }>;

export interface WebhookRejection extends Rejection {
  readonly code:
    | 'webhook/not-found'
    | 'webhook/exists'
    | 'webhook/invalid-id'
    | 'webhook/invalid-url'
    | 'webhook/invalid-types'
    | 'webhook/invalid-subjects'
    | 'webhook/invalid-description'
    | 'webhook/invalid-overlap'
    | 'webhook/invalid-reason'
    | 'webhook/invalid-event'
    | 'webhook/invalid-period'
    | 'webhook/too-many-requests';
}

type Outcome = readonly WebhookEvent[] | WebhookRejection;

const initial: WebhookState = { status: 'absent' };

/** Whether it was created and not removed. */
export function isLive(state: WebhookState): state is LiveWebhook {
  return state.status === 'enabled' || state.status === 'disabled';
}

function evolve(state: WebhookState, event: WebhookEvent): WebhookState {
  if (event.$typeName === 'jetledger.webhook.v1.WebhookCreated') {
    const { url, types, subjects, description, ordered, secretId } = event;
    const at = Number(event.createdAt);
    const terms = { url, types, subjects, description, ordered };
    const nothing = { cause: undefined, reason: '', previous: undefined, completed: undefined };
    const times = { createdAt: at, renewedAt: at };
    return { status: 'enabled', ...terms, secretId, ...times, ...nothing, requests: [] };
  }
  if (!isLive(state)) return state;
  switch (event.$typeName) {
    case 'jetledger.webhook.v1.WebhookChanged':
      return changed(state, event);
    case 'jetledger.webhook.v1.WebhookSecretRotated': {
      const previous = { secretId: state.secretId, until: Number(event.previousUntil) };
      return { ...state, secretId: event.secretId, previous };
    }
    case 'jetledger.webhook.v1.WebhookDisabled':
      return { ...state, status: 'disabled', cause: causeOf(event.cause), reason: event.reason };
    case 'jetledger.webhook.v1.WebhookEnabled': {
      const renewedAt = Number(event.enabledAt);
      return { ...state, status: 'enabled', cause: undefined, reason: '', renewedAt };
    }
    case 'jetledger.webhook.v1.WebhookRemoved':
      return { status: 'removed' };
    case 'jetledger.webhook.v1.WebhookTestRequested':
      return requested(state, { kind: 'test', requestId: event.requestId, at: Number(event.requestedAt) });
    case 'jetledger.webhook.v1.WebhookRedeliveryRequested':
      return requested(state, redeliveryOf(event));
    case 'jetledger.webhook.v1.WebhookRequestCompleted': {
      const { requestId } = event;
      const counts = { delivered: Number(event.delivered), failed: Number(event.failed) };
      const requests = state.requests.filter((request) => request.requestId !== requestId);
      return { ...state, requests, completed: { requestId, ...counts } };
    }
    default:
      event satisfies never;
      return state;
  }
}

function changed(state: LiveWebhook, event: MessageShape<typeof WebhookChangedSchema>): LiveWebhook {
  const { url, types, subjects, description, ordered, changedAt } = event;
  return { ...state, url, types, subjects, description, ordered, renewedAt: Number(changedAt) };
}

type RedeliveryRequested = MessageShape<typeof WebhookRedeliveryRequestedSchema>;

function redeliveryOf({
  requestId,
  eventId,
  since,
  until,
  requestedAt,
  stream,
  position,
}: RedeliveryRequested): WebhookRequest {
  const what = { requestId, at: Number(requestedAt) };
  if (eventId !== '') {
    const place = stream === '' ? undefined : { source: stream, position: Number(position) };
    return { kind: 'event', ...what, eventId, place };
  }
  return { kind: 'period', ...what, since: Number(since), until: until === 0n ? undefined : Number(until) };
}

function requested(state: LiveWebhook, request: WebhookRequest): LiveWebhook {
  return { ...state, requests: [...state.requests, request] };
}

function causeOf(cause: string): DisableCause {
  return cause === 'failing' || cause === 'gone' ? cause : 'operator';
}

function decide(command: WebhookCommand, state: WebhookState): Outcome {
  if (command.type === 'create') return creation(command, state);
  if (command.type === 'remove' && state.status === 'removed') return [];
  if (!isLive(state)) return rejected('webhook/not-found', 'There is no such webhook; check the id.');
  const at = BigInt(command.at);
  switch (command.type) {
    case 'change':
      return change(command, state);
    case 'rotateSecret':
      return rotation(command, state);
    case 'disable': {
      if (state.status === 'disabled') return [];
      const reason = normaliseReason(command.reason);
      if (reason === undefined) return INVALID_REASON;
      return [create(WebhookDisabledSchema, { cause: command.cause, reason, disabledAt: at })];
    }
    case 'enable':
      return state.status === 'enabled' ? [] : [create(WebhookEnabledSchema, { enabledAt: at })];
    case 'remove':
      return [create(WebhookRemovedSchema, { removedAt: at })];
    case 'requestTest':
    case 'requestEvent':
    case 'requestPeriod':
      return request(command, state);
    case 'complete': {
      if (state.requests.every(({ requestId }) => requestId !== command.requestId)) return [];
      const { requestId } = command;
      const counts = { delivered: BigInt(command.delivered), failed: BigInt(command.failed) };
      return [create(WebhookRequestCompletedSchema, { requestId, ...counts, completedAt: at })];
    }
  }
}

function creation(command: CommandOf<'create'>, state: WebhookState): Outcome {
  const { webhookId, secretId, at } = command;
  if (!isAggregateId(webhookId) || !isAggregateId(secretId)) return INVALID_ID;
  const terms = termsOf(command);
  if ('code' in terms) return terms;
  if (state.status !== 'absent') {
    return isLive(state) && state.secretId === secretId && isSame(state, terms)
      ? []
      : rejected('webhook/exists', 'Another webhook has this id; create this one under a new id.');
  }
  const { types, subjects, ...rest } = terms;
  const lists = { types: [...types], subjects: [...subjects] };
  return [create(WebhookCreatedSchema, { webhookId, ...rest, ...lists, secretId, createdAt: BigInt(at) })];
}

function change(command: CommandOf<'change'>, state: LiveWebhook): Outcome {
  const { type: _, at, ...given } = command;
  const terms = termsOf({ ...state, ...given });
  if ('code' in terms) return terms;
  if (isSame(state, terms)) return [];
  const { types, subjects, ...rest } = terms;
  const lists = { types: [...types], subjects: [...subjects] };
  return [create(WebhookChangedSchema, { ...rest, ...lists, changedAt: BigInt(at) })];
}

/** A secret that is on its way to every receiver needs hours, and one that leaked none. */
export const LONGEST_OVERLAP_MS = 7 * 24 * 3_600_000;

function rotation({ secretId, overlapMs, at }: CommandOf<'rotateSecret'>, state: LiveWebhook): Outcome {
  if (state.secretId === secretId) return [];
  if (!isAggregateId(secretId)) {
    return INVALID_ID;
  }
  if (!Number.isSafeInteger(overlapMs) || overlapMs < 0 || overlapMs > LONGEST_OVERLAP_MS) {
    return rejected('webhook/invalid-overlap', 'Let the secret before hold for 0 to 168 hours.');
  }
  const times = { previousUntil: BigInt(at + overlapMs), rotatedAt: BigInt(at) };
  return [create(WebhookSecretRotatedSchema, { secretId, ...times })];
}

/** What waits is kept in the state, and done one by one. */
const MAX_REQUESTS = 10;
const EVENT_ID = /^[\x21-\x7e]{1,200}$/;

function request(
  command: CommandOf<'requestTest' | 'requestEvent' | 'requestPeriod'>,
  { requests }: LiveWebhook,
): Outcome {
  const { requestId } = command;
  if (requests.some((request) => request.requestId === requestId)) return [];
  if (!isAggregateId(requestId)) return INVALID_ID;
  if (requests.length >= MAX_REQUESTS) {
    const message = `${MAX_REQUESTS} tests and redeliveries wait already; ask again when one is through.`;
    return rejected('webhook/too-many-requests', message);
  }
  const what = { requestId, requestedAt: BigInt(command.at) };
  if (command.type === 'requestTest') return [create(WebhookTestRequestedSchema, what)];
  if (command.type === 'requestEvent') {
    const { eventId, place } = command;
    if (!EVENT_ID.test(eventId))
      return rejected('webhook/invalid-event', 'Give the `webhook-id` of a delivery.');
    const { source: stream = '', position = 0 } = place ?? {};
    const lies = { stream, position: BigInt(position) };
    return [create(WebhookRedeliveryRequestedSchema, { ...what, eventId, ...lies })];
  }
  const { since, until } = command;
  const isTime = (time: number) => Number.isSafeInteger(time) && time > 0;
  if (!isTime(since) || (until !== undefined && !(isTime(until) && since < until))) {
    return rejected('webhook/invalid-period', 'Give a time for `since`, and a later one for `until` if any.');
  }
  return [
    create(WebhookRedeliveryRequestedSchema, {
      ...what,
      since: BigInt(since),
      until: BigInt(until ?? 0),
    }),
  ];
}

const MAX_URL = 2_000;
const MAX_ITEMS = 50;
const MAX_DESCRIPTION = 500;
const TYPE = /^(\*|[a-z0-9]([a-z0-9._-]{0,98}\*?)?)$/i;

/** The terms as they are stored, or what is wrong with them. */
function termsOf({ url, types, subjects, description, ordered }: WebhookTerms) {
  const href = normaliseUrl(url);
  if (href === undefined) return INVALID_URL;
  const isList = (list: readonly string[], isItem: (item: string) => boolean) =>
    list.length <= MAX_ITEMS && new Set(list).size === list.length && list.every(isItem);
  if (types.length === 0 || !isList(types, (type) => TYPE.test(type))) {
    const message = 'Give 1 to 50 types of events, each once: whole, or the beginning and a star.';
    return rejected('webhook/invalid-types', message);
  }
  if (!isList(subjects, isAggregateId)) {
    return rejected('webhook/invalid-subjects', 'Give at most 50 ids of aggregates, each once.');
  }
  const text = description === '' ? '' : normaliseGivenReason(description);
  if (text === undefined) {
    const message = `Give a description of at most ${MAX_DESCRIPTION} characters on one line.`;
    return rejected('webhook/invalid-description', message);
  }
  return { url: href, types, subjects, description: text, ordered };
}

/** A URL as it is stored; undefined when nothing can be posted there, or when it holds user or password. */
function normaliseUrl(input: string): string | undefined {
  if (input.length > MAX_URL || !URL.canParse(input)) return undefined;
  const { protocol, username, password, hash, href } = new URL(input);
  if (!/^https?:$/.test(protocol) || username + password + hash !== '') return undefined;
  return href.length <= MAX_URL ? href : undefined;
}

const INVALID_ID = rejected('webhook/invalid-id', 'Give an id of letters, digits, hyphens and underscores.');
const INVALID_URL = rejected(
  'webhook/invalid-url',
  'Give a URL of the form https://host[:port]/path of at most 2,000 characters, without user, password and fragment.',
);
const INVALID_REASON = rejected(
  'webhook/invalid-reason',
  'Give a reason of at most 500 characters on one line, none that turns the direction of writing.',
);

function isSame(one: WebhookTerms, other: WebhookTerms): boolean {
  const list = ({ types, subjects, url, description, ordered }: WebhookTerms) =>
    JSON.stringify([types, subjects, url, description, ordered]);
  return list(one) === list(other);
}

/** Whether events of a type about an aggregate are sent. */
export function isSent({ types, subjects }: WebhookTerms, type: string, subject: string): boolean {
  if (subjects.length > 0 && !subjects.includes(subject)) return false;
  return types.some((wanted) => isMeant(wanted, type));
}

/** Those that none of the known types of events is meant by. */
export function unknownTypes(types: readonly string[], known: readonly string[]): readonly string[] {
  return types.filter((wanted) => !known.some((type) => isMeant(wanted, type)));
}

const isMeant = (wanted: string, type: string): boolean =>
  wanted.endsWith('*') ? type.startsWith(wanted.slice(0, -1)) : wanted === type;

/** Who is sent public events over HTTP; its id is made by the service. */
export const webhook: Decider<WebhookState, WebhookCommand, WebhookEvent, WebhookRejection> = {
  category: 'webhook',
  events,
  initial,
  evolve,
  decide,
};
