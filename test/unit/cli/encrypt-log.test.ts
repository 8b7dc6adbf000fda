import { create } from '@bufbuild/protobuf';
import { expect, it } from 'vitest';
import { createEmailKey } from '../../../src/app/email-key.ts';
import { withEncryptedBackup } from '../../../src/cli/copies/encrypt-backup.ts';
import { order } from '../../../src/domain/order.ts';
import { codecOf } from '../../../src/eventstore/codec/event-codec.ts';
import {
  commitOf,
  decisionOf,
  encodeCommit,
  recordedCommit,
} from '../../../src/eventstore/codec/stored-commit.ts';
import type { Log } from '../../../src/eventstore/log.ts';
import { createPersonKeys } from '../../../src/eventstore/personal/bucket-keys.ts';
import { createMasterKeys } from '../../../src/eventstore/personal/master-keys.ts';
import { createPersonalData } from '../../../src/eventstore/personal/personal-data.ts';
import { positionOf } from '../../../src/eventstore/position.ts';
import { subjectOf } from '../../../src/eventstore/stream.ts';
import {
  OrderCancelledSchema,
  OrderPlacedSchema,
  OrderRefundGrantedSchema,
} from '../../../src/gen/jetledger/order/v1/order_pb.ts';
import { newManifest } from '../../../src/platform/backup/manifest.ts';
import { configDir, loadConfig } from '../../../src/platform/config/load.ts';
import { encryptMessages } from '../../../src/service/personal/encrypt-log.ts';
import { addShare, describeShare, type PersonalShare } from '../../../src/service/personal/share.ts';
import { createMemoryBucketStore, openMemoryBucket } from '../../../src/testing/memory-bucket.ts';
import { createMemoryStore, openMemoryLog } from '../../../src/testing/memory-log.ts';

const STREAM = { category: 'order', id: 'o1' };
const UNKEYED = new Uint8Array(16).fill(5);
const AT = 1_900_000_000_000;

const placed = create(OrderPlacedSchema, {
  orderId: 'o1',
  userId: 'u1',
  deliveryName: 'Ada Lovelace',
  deliveryCity: 'Bonn',
  deliveryCountry: 'DE',
  metadata: { pairs: [{ key: 'gift', value: 'for Charles' }] },
});
/** As builds stored them that did not say whose order it is. */
const cancelled = create(OrderCancelledSchema, { reason: 'Ada moved', by: 'customer' });
const refunded = create(OrderRefundGrantedSchema, { reason: 'Ada called' });
type Stored = typeof placed | typeof cancelled | typeof refunded;

function commitWith(id: string, event: Stored) {
  const meta = { commandId: id, actor: 'test', fingerprint: UNKEYED };
  return commitOf(id, [decisionOf(meta, [codecOf(order).encode(event)], AT)]);
}

async function logOf(events: readonly Stored[]) {
  const log: Log = openMemoryLog(createMemoryStore());
  const commits = events.map((event, n) => commitWith(`c${n}`, event));
  let version = 0;
  for (const commit of commits) {
    const result = await log.append(STREAM, version, commit);
    if (!result.appended) throw new Error('not appended');
    version = result.version;
  }
  const messages = commits.map((commit) => ({
    subject: subjectOf('jl', STREAM),
    data: encodeCommit(commit),
  }));
  return { log, messages };
}

function personalData() {
  const masters = createMasterKeys(new Uint8Array(32).fill(1));
  const bucket = openMemoryBucket(createMemoryBucketStore('keys'));
  return createPersonalData({ keys: createPersonKeys({ bucket, masters }), encrypt: true });
}

function shareOf(messages: readonly Uint8Array[]): PersonalShare {
  const share: PersonalShare = { sealed: 0, plain: 0, unkeyed: 0 };
  for (const [index, bytes] of messages.entries())
    addShare(
      share,
      recordedCommit({
        subject: subjectOf('jl', STREAM),
        position: positionOf(index + 1),
        previous: index,
        bytes,
      }),
    );
  return share;
}

const emailKey = createEmailKey(new Uint8Array(32).fill(2));

it('seals every personal text of an order, also where the event does not say whose order it is', async () => {
  const { log, messages } = await logOf([placed, cancelled, refunded]);
  const personal = personalData();
  expect(shareOf(messages.map(({ data }) => data))).toEqual({ sealed: 0, plain: 5, unkeyed: 3 });
  const sealed = await encryptMessages({ log, personal, emailKey }, messages);
  expect(shareOf(sealed)).toEqual({ sealed: 5, plain: 0, unkeyed: 0 });
  expect(Buffer.concat(sealed).toString('latin1')).not.toMatch(/Ada|Bonn|Charles/);
  const [first] = sealed.map((bytes, n) =>
    recordedCommit({ subject: subjectOf('jl', STREAM), position: positionOf(n + 1), previous: n, bytes }),
  );
  const [stored] = first?.decisions[0]?.events ?? [];
  if (stored === undefined) throw new Error('no event');
  expect(await personal.open(codecOf(order).decode(stored, 'o1'))).toEqual(placed);
  expect(
    await encryptMessages(
      { log, personal, emailKey },
      sealed.map((data) => ({ subject: subjectOf('jl', STREAM), data })),
    ),
  ).toEqual(sealed);
});

it('leaves as they are: messages of somebody else, and damaged ones', async () => {
  const { log } = await logOf([placed]);
  const foreign = [
    { subject: 'jl.$fence', data: Buffer.from('any') },
    { subject: subjectOf('jl', { category: 'visitor', id: 'v' }), data: Buffer.from('any') },
    { subject: subjectOf('jl', STREAM), data: Buffer.from([0xff, 0xff]) },
  ];
  const kept = await encryptMessages({ log, personal: personalData(), emailKey }, foreign);
  expect(kept).toEqual(foreign.map(({ data }) => data));
});

it('tells the share in words', () => {
  expect(describeShare({ sealed: 12, plain: 0, unkeyed: 0 })).toBe('none of 12 personal texts is plain');
  expect(describeShare({ sealed: 8, plain: 4, unkeyed: 3 })).toBe(
    '4 of 12 personal texts are plain, and 3 digests of requests are without a key',
  );
});

it('does not begin without a master key', async () => {
  const config = loadConfig({ env: { JETLEDGER_ENV: 'test' }, dir: configDir({}) });
  const { signal } = new AbortController();
  const progress = { show: () => undefined, clear: () => undefined };
  const manifest = newManifest({
    ...{ takenAt: '', toolVersion: '', serverVersion: '', streams: [], leftOut: [] },
    log: { stream: 'jetledger', prefix: 'jl', incarnation: 'i', last: 0 },
  });
  const backup = { folder: '.', manifest, emailKey, masterKeys: [], signal, progress };
  await expect(withEncryptedBackup(config, backup, async () => undefined)).rejects.toThrow(
    'There is no master key to encrypt with',
  );
});
