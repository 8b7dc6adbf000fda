import { create } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import {
  isLive,
  isSent,
  type WebhookCommand,
  type WebhookState,
  webhook,
} from '../../../src/domain/webhook.ts';
import { WebhookRemovedSchema } from '../../../src/gen/jetledger/webhook/v1/webhook_pb.ts';

const terms = {
  url: 'https://parcels.example.com/events',
  types: ['order.*'],
  subjects: [],
  description: '',
  ordered: false,
};
const CREATE: WebhookCommand = { type: 'create', webhookId: 'w1', secretId: 's1', ...terms, at: 1 };

/** The state after commands that are all accepted. */
function after(...commands: readonly WebhookCommand[]): WebhookState {
  return commands.reduce<WebhookState>((state, command) => {
    const events = webhook.decide(command, state);
    if ('code' in events) throw new Error(events.code);
    return events.reduce((next, event) => webhook.evolve(next, event), state);
  }, webhook.initial);
}

const outcome = (command: WebhookCommand, state: WebhookState): string => {
  const events = webhook.decide(command, state);
  return 'code' in events ? events.code : events.map(({ $typeName }) => $typeName.split('.').at(-1)).join();
};

describe('a webhook', () => {
  it.each([
    'http://user:secret@parcels.example.com/',
    'https://user@parcels.example.com/',
    'ftp://parcels.example.com/',
    'file:///etc/passwd',
    'parcels.example.com',
    'https://parcels.example.com/#part',
    `https://parcels.example.com/${'x'.repeat(2_000)}`,
  ])('refuses the URL %s, which names credentials or nowhere to post to', (url) => {
    expect(outcome({ ...CREATE, url }, webhook.initial)).toBe('webhook/invalid-url');
  });

  it('keeps the secret before valid until the end of the overlap, and none before that', () => {
    const rotated = after(CREATE, { type: 'rotateSecret', secretId: 's2', overlapMs: 1_000, at: 5 });
    expect(rotated).toMatchObject({ secretId: 's2', previous: { secretId: 's1', until: 1_005 } });
    const again = after(
      CREATE,
      { type: 'rotateSecret', secretId: 's2', overlapMs: 1_000, at: 5 },
      { type: 'rotateSecret', secretId: 's3', overlapMs: 0, at: 6 },
    );
    expect(again).toMatchObject({ secretId: 's3', previous: { secretId: 's2', until: 6 } });
  });

  it('takes each request once, and ten that wait at the most', () => {
    const test = (n: number) => ({ type: 'requestTest', requestId: `r${n}`, at: 2 }) as const;
    const ten = Array.from({ length: 10 }, (_, n) => test(n));
    expect(outcome(test(10), after(CREATE, ...ten))).toBe('webhook/too-many-requests');
    expect(outcome(test(9), after(CREATE, ...ten))).toBe('');
    const complete = { type: 'complete', requestId: 'r3', delivered: 1, failed: 0, at: 3 } as const;
    const room = after(CREATE, ...ten, complete, test(10));
    expect(isLive(room) && room.requests.map(({ requestId }) => requestId)).toEqual(
      [0, 1, 2, 4, 5, 6, 7, 8, 9, 10].map((n) => `r${n}`),
    );
    expect(outcome(complete, room)).toBe('');
  });

  it('is gone for ever once it is removed', () => {
    const removed = webhook.evolve(after(CREATE), create(WebhookRemovedSchema, { removedAt: 2n }));
    expect(outcome({ type: 'enable', at: 3 }, removed)).toBe('webhook/not-found');
    expect(outcome(CREATE, removed)).toBe('webhook/exists');
  });

  it('says why it is disabled until it is enabled', () => {
    const disabled = after(CREATE, { type: 'disable', cause: 'failing', reason: 'status 500', at: 2 });
    expect(disabled).toMatchObject({ status: 'disabled', cause: 'failing', reason: 'status 500' });
    expect(webhook.decide({ type: 'enable', at: 9 }, disabled)).toHaveLength(1);
    expect(
      after(CREATE, { type: 'disable', cause: 'gone', reason: '', at: 2 }, { type: 'enable', at: 9 }),
    ).toMatchObject({ status: 'enabled', cause: undefined, renewedAt: 9 });
  });

  it.each([
    ['order.*', 'order.confirmed', 'o1', true],
    ['order.confirmed', 'order.confirmed', 'o1', true],
    ['order.confirmed', 'order.confirmed.v2', 'o1', false],
    ['*', 'user.created', 'u1', true],
    ['user.*', 'order.confirmed', 'o1', false],
  ])('that wants %s is sent %s or not', (wanted, type, subject, sent) => {
    expect(isSent({ ...terms, types: [wanted] }, type, subject)).toBe(sent);
    expect(isSent({ ...terms, types: [wanted], subjects: ['other'] }, type, subject)).toBe(false);
  });
});
