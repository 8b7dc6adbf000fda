import { type WebhookEvent, webhook } from '../../domain/webhook.ts';
import { versionAt } from '../../eventstore/index.ts';
import type {
  IndexList,
  Page,
  PageRequest,
  Projection,
  ReadOptions,
  ReadRow,
  ViewIndex,
  ViewReader,
} from '../engine/index.ts';

import { exactNumber, isoTime } from './json.ts';

/** A webhook as the API serves it. Nothing in it is secret. */
export interface WebhookRow {
  readonly id: string;
  readonly url: string;
  readonly types: readonly string[];
  readonly subjects: readonly string[];
  readonly description: string;
  readonly ordered: boolean;
  readonly status: 'enabled' | 'disabled';
  /** Why it is disabled. */
  readonly cause?: string;
  readonly reason?: string;
  /** Until when the secret before the last rotation signs too. */
  readonly previousSecretUntil?: string;
  /** Tests and redeliveries that are not through. */
  readonly waiting: number;
  /** How the last one that is through ended. */
  readonly completed?: { readonly requestId: string; readonly delivered: number; readonly failed: number };
  readonly createdAt: string;
  readonly version: number;
}

const text = { type: 'string' };
const texts = { type: 'array', items: text };
const count = { type: 'integer', minimum: 0 };

/** One row per webhook that was not removed, by id. */
export const webhooks: Projection<WebhookRow, WebhookEvent> = {
  name: 'webhooks',
  version: 1,
  sources: [webhook],
  crossesAggregates: false,
  keyOf: (_event, { stream }) => stream.id,
  evolve: (row, event, { stream, position }) => {
    const version = versionAt(position);
    if (event.$typeName === 'jetledger.webhook.v1.WebhookCreated') {
      const { url, types, subjects, description, ordered } = event;
      const terms = { url, types: [...types], subjects: [...subjects], description, ordered };
      const createdAt = isoTime(event.createdAt);
      return { id: stream.id, ...terms, status: 'enabled', waiting: 0, createdAt, version };
    }
    return row && changed(row, event, version);
  },
  schema: {
    type: 'object',
    required: ['id', 'url', 'types', 'subjects', 'description', 'ordered', 'status', 'waiting', 'version'],
    additionalProperties: false,
    properties: {
      ...{ id: text, url: text, types: texts, subjects: texts, description: text, cause: text, reason: text },
      ordered: { type: 'boolean' },
      status: { enum: ['enabled', 'disabled'] },
      previousSecretUntil: text,
      waiting: count,
      completed: {
        type: 'object',
        required: ['requestId', 'delivered', 'failed'],
        additionalProperties: false,
        properties: { requestId: text, delivered: count, failed: count },
      },
      createdAt: text,
      version: { type: 'integer' },
    },
  },
};

type LaterEvent = Exclude<WebhookEvent, { $typeName: 'jetledger.webhook.v1.WebhookCreated' }>;

function changed(row: WebhookRow, event: LaterEvent, version: number): WebhookRow | undefined {
  switch (event.$typeName) {
    case 'jetledger.webhook.v1.WebhookChanged': {
      const { url, types, subjects, description, ordered } = event;
      return { ...row, url, types: [...types], subjects: [...subjects], description, ordered, version };
    }
    case 'jetledger.webhook.v1.WebhookSecretRotated':
      return { ...row, previousSecretUntil: isoTime(event.previousUntil), version };
    case 'jetledger.webhook.v1.WebhookDisabled': {
      const { cause, reason } = event;
      return { ...row, status: 'disabled', cause, ...(reason !== '' && { reason }), version };
    }
    case 'jetledger.webhook.v1.WebhookEnabled': {
      const { cause: _cause, reason: _reason, ...rest } = row;
      return { ...rest, status: 'enabled', version };
    }
    case 'jetledger.webhook.v1.WebhookRemoved':
      return undefined;
    case 'jetledger.webhook.v1.WebhookTestRequested':
    case 'jetledger.webhook.v1.WebhookRedeliveryRequested':
      return { ...row, waiting: row.waiting + 1, version };
    case 'jetledger.webhook.v1.WebhookRequestCompleted': {
      const { requestId } = event;
      const counts = { delivered: exactNumber(event.delivered), failed: exactNumber(event.failed) };
      return { ...row, waiting: row.waiting - 1, completed: { requestId, ...counts }, version };
    }
    default:
      return event satisfies never;
  }
}

const sorted = { sort: 'createdAt', descending: true };
const newestFirst: IndexList = { equal: [], ...sorted };
const byStatus: IndexList = { equal: ['status'], ...sorted };

/** All webhooks stand in one list, and those of each status in another. */
export const webhookIndex: ViewIndex<WebhookRow> = {
  view: webhooks,
  version: 1,
  columns: { status: 'text', createdAt: 'integer' },
  lists: [newestFirst, byStatus],
  entryOf: ({ status, createdAt }) => ({ status, createdAt: Date.parse(createdAt) }),
};

/** What can be asked of the view. @throws ViewBehind, LogUnavailable, InvalidCursor, ListNotBuilt */
export interface WebhookQueries {
  webhook(id: string, options?: ReadOptions): Promise<ReadRow | undefined>;
  /** Newest first; all, or those of a status. */
  webhooks(page: PageRequest, status?: WebhookRow['status']): Promise<Page>;
}

export function webhookQueries(views: ViewReader): WebhookQueries {
  return {
    webhook: (id, options) => views.row(webhooks, id, options),
    webhooks: (page, status) =>
      views.page(
        webhookIndex,
        status === undefined ? { list: newestFirst, equal: {} } : { list: byStatus, equal: { status } },
        page,
      ),
  };
}
