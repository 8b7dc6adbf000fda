import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { expect, it } from 'vitest';
import {
  type EmailCommand,
  type EmailEvent,
  type EmailRejection,
  type EmailState,
  email,
} from '../../../src/domain/email.ts';
import { UnknownEventType } from '../../../src/eventstore/errors.ts';
import { foldVersionOf } from '../../../src/eventstore/fold.ts';
import {
  createHandler,
  type Decider,
  history,
  systemRuntime as runtime,
} from '../../../src/eventstore/index.ts';
import { EmailClaimedSchema } from '../../../src/gen/jetledger/email/v1/email_pb.ts';
import { decodeGolden, type Golden } from '../../../src/testing/golden.ts';
import { createMemoryLog } from '../../../src/testing/memory-log.ts';
import { GOLDEN_FOLDER } from '../../golden/golden.ts';

// As CONTRIBUTING says under "Change an event": here an attempt gets another meaning, `<user>/<attempt>`.
const changed: Decider<EmailState, EmailCommand, EmailEvent, EmailRejection> = {
  ...email,
  upcasters: [
    {
      type: 'EmailClaimed',
      fromVersion: 1,
      upcast: (data) => {
        const event = fromBinary(EmailClaimedSchema, data);
        event.attempt = `${event.userId}/${event.attempt}`;
        return { type: 'EmailClaimed', data: toBinary(EmailClaimedSchema, event) };
      },
    },
  ],
};

const AT = Date.parse('2026-01-15T09:00:00Z');
const meta = (commandId: string) => ({ commandId, actor: 'test' });

it('an aggregate whose event has changed folds what was stored before and what is stored now to one shape', async () => {
  const log = createMemoryLog();
  const before = createHandler({ log, runtime });
  const claim = { type: 'claim', userId: 'u1', attempt: 'a1', at: AT } as const;
  await before.execute(email, 'e1', claim, meta('c1'));

  const after = createHandler({ log, runtime });
  expect((await after.load(changed, 'e1')).state).toMatchObject({ claim: { attempt: 'u1/a1' } });
  const again = { type: 'claim', userId: 'u2', attempt: 'u2/a2', at: AT } as const;
  await after.execute(changed, 'e2', again, meta('c2'));
  expect((await after.load(changed, 'e2')).state).toMatchObject({ claim: { attempt: 'u2/a2' } });

  const versions: number[] = [];
  for await (const { decisions } of history(log, { category: 'email', id: 'e2' }, {}))
    for (const { events } of decisions) versions.push(...events.map(({ schemaVersion }) => schemaVersion));
  expect(versions).toEqual([2]);
  // A build from before the change stops at what it does not know; it never misreads it.
  await expect(before.load(email, 'e2')).rejects.toThrow(UnknownEventType);
});

it('the golden bytes of the version before decode to the new shape, and snapshots of the old fold are not taken', () => {
  const file = join(GOLDEN_FOLDER, 'email', 'EmailClaimed.v1.json');
  const kept = JSON.parse(readFileSync(file, 'utf8')) as Golden;
  expect(decodeGolden([changed], kept)).toMatchObject({ attempt: 'user_id-1/attempt-1' });
  expect(foldVersionOf(changed)).not.toBe(foldVersionOf(email));
});
