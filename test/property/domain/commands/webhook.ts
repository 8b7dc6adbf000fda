import fc from 'fast-check';
import type { WebhookCommand } from '../../../../src/domain/webhook.ts';
import { at, beginning, is, reason, sequence } from '../arbitraries.ts';

const terms = {
  url: fc.constantFrom('https://a.example/x', 'https://b.example', 'http://u:p@c.example', 'ftp://d.example'),
  types: fc.constantFrom(['*'], ['order.*', 'user.created'], [], ['a', 'a']),
  subjects: fc.constantFrom([], ['o1'], ['a b']),
  description: fc.constantFrom('', 'Parcels', 'two\nlines'),
  ordered: fc.boolean(),
};
const requestId = fc.constantFrom('r1', 'r2', 'r3', 'a b');
const secretId = fc.constantFrom('s1', 's2', 's3', '');
const time = fc.oneof(at, fc.constantFrom(0, Number.NaN));

/** Commands for one webhook; the first often creates it. */
export const commands: fc.Arbitrary<WebhookCommand[]> = (() => {
  const webhookId = fc.constantFrom('w1', 'w1', 'w1', 'a b');
  const create = fc.record({ type: is('create'), webhookId, secretId, ...terms, at });
  const overlapMs = fc.constantFrom(0, 3_600_000, -1);
  const count = fc.integer({ min: 0, max: 3 });
  const later = sequence<WebhookCommand>(
    create,
    fc.record({ type: is('change'), ...terms, at }, { requiredKeys: ['type', 'at'] }),
    fc.record({ type: is('rotateSecret'), secretId, overlapMs, at }),
    fc.record({
      type: is('disable'),
      cause: fc.constantFrom('operator' as const, 'failing' as const, 'gone' as const),
      reason,
      at,
    }),
    fc.record({ type: is('enable'), at }),
    fc.record({ type: is('requestTest'), requestId, at }),
    fc.record({ type: is('requestEvent'), requestId, eventId: fc.constantFrom('e1', 'e 1'), at }),
    fc.record({
      type: is('requestPeriod'),
      requestId,
      since: time,
      until: fc.option(time, { nil: undefined }),
      at,
    }),
    fc.record({
      type: is('complete'),
      requestId,
      delivered: count,
      failed: count,
      at,
    }),
    fc.record({ type: is('remove'), at }),
  );
  return beginning<WebhookCommand>(create, later);
})();
