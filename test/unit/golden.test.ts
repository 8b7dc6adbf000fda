import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createFileRegistry, type DescMessage, fromBinary, type JsonValue, toJson } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { codecOf } from '../../src/eventstore/codec/event-codec.ts';
import { decidedIn, recordedCommit } from '../../src/eventstore/codec/stored-commit.ts';
import { createPersonKeys } from '../../src/eventstore/personal/bucket-keys.ts';
import { createMasterKeys } from '../../src/eventstore/personal/master-keys.ts';
import { createPersonalData } from '../../src/eventstore/personal/personal-data.ts';
import { positionOf } from '../../src/eventstore/position.ts';
import { decodeGolden, type Golden, goldenProblems, keepGolden } from '../../src/testing/golden.ts';
import { createMemoryBucketStore, openMemoryBucket } from '../../src/testing/memory-bucket.ts';
import { GOLDEN_FOLDER, sources } from '../golden/golden.ts';

const BEFORE_ENCRYPTION = fileURLToPath(
  new URL('../fixtures/stored/commit-before-encryption.binpb', import.meta.url),
);
const SEALED = fileURLToPath(new URL('../fixtures/stored/sealed.json', import.meta.url));

describe('golden bytes', () => {
  it('exist for every event type and version that the service writes, and decode to what they meant (npm run golden)', () => {
    expect(goldenProblems(sources, GOLDEN_FOLDER)).toEqual([]);
  });

  it('of UserCreated are readable by whoever knows only {user_id = 1; email = 2; created_at = 3}', () => {
    const bytes = '0a02753112056140622e6318808090abea37';
    const golden: Golden = { category: 'user', type: 'UserCreated', schemaVersion: 1, hex: bytes, json: {} };
    expect(decodeGolden(sources, golden)).toEqual({
      userId: 'u1',
      email: 'a@b.c',
      createdAt: '1918330208256',
    });
  });
});

describe('what was sealed', () => {
  it('opens for ever, with the key as it was stored and the master key', async () => {
    const kept = JSON.parse(readFileSync(SEALED, 'utf8')) as {
      readonly masterHex: string;
      readonly person: string;
      readonly storedKey: string;
      readonly commits: readonly { category: string; id: string; hex: string; json: JsonValue }[];
    };
    const bucket = openMemoryBucket(createMemoryBucketStore('keys'));
    await bucket.write({ key: kept.person, value: Buffer.from(kept.storedKey), expectedRevision: 0 });
    const masters = createMasterKeys(Buffer.from(kept.masterHex, 'hex'));
    const personal = createPersonalData({ keys: createPersonKeys({ bucket, masters }), encrypt: false });
    expect(kept.commits.map(({ category }) => category)).toEqual(['user', 'order']);
    for (const { category, id, hex, json } of kept.commits) {
      const source = sources.find((one) => one.category === category);
      if (source === undefined) throw new Error(`nobody reads ${category}`);
      const bytes = new Uint8Array(Buffer.from(hex, 'hex'));
      const [subject, position] = ['x', positionOf(1)];
      const commit = recordedCommit({ subject, position, previous: 0, bytes, commitId: 'c1' });
      // The two decoders of commits: the fast one, and the one of everything that looks odd.
      for (const stored of [decidedIn(commit)[0]?.events[0], commit.decisions[0]?.events[0]]) {
        if (stored === undefined) throw new Error(`${category} has no event`);
        const event = codecOf(source).decode(stored, id);
        const schema = source.events.find(({ typeName }) => typeName === event.$typeName);
        expect(schema && toJson(schema, await personal.open(event))).toEqual(json);
      }
    }
  });
});

/** `commit.proto` as it was in builds from before encryption, and the message of a commit in it. */
function formerCommit(): DescMessage {
  const files = fromBinary(FileDescriptorSetSchema, readFileSync(BEFORE_ENCRYPTION));
  const commit = createFileRegistry(files).getMessage('jetledger.eventstore.v1.Commit');
  if (commit === undefined) throw new Error('the fixture holds no commit');
  return commit;
}

it('a release from before encryption meets its word for an encrypted event, at which it stops', () => {
  const { commits } = JSON.parse(readFileSync(SEALED, 'utf8')) as { commits: { hex: string }[] };
  for (const { hex } of commits) {
    const commit = fromBinary(formerCommit(), Buffer.from(hex, 'hex'));
    const json = toJson(formerCommit(), commit) as { decisions: { events: Record<string, unknown>[] }[] };
    expect(json.decisions[0]?.events).toEqual([
      expect.objectContaining({ encryption: { algorithm: 'fields-v1' } }),
    ]);
  }
});

describe('the check of golden bytes', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'golden-'));
    cpSync(GOLDEN_FOLDER, folder, { recursive: true });
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const spoil = (golden: Partial<Golden>): string[] => {
    const [file] = ['email/EmailClaimed.v1.json'];
    const whole = { category: 'email', type: 'EmailClaimed', schemaVersion: 1, hex: '', json: {}, ...golden };
    writeFileSync(join(folder, file ?? ''), JSON.stringify(whole));
    return goldenProblems(sources, folder);
  };

  it('names what is missing, and what is kept is not written again', () => {
    rmSync(join(folder, 'email/EmailClaimed.v1.json'));
    expect(goldenProblems(sources, folder)).toEqual([
      'email/EmailClaimed.v1.json is missing: keep the bytes of what is stored from now on',
    ]);
    expect(keepGolden(sources, folder)).toEqual(['email/EmailClaimed.v1.json']);
    expect(keepGolden(sources, folder)).toEqual([]);
    expect(goldenProblems(sources, folder)).toEqual([]);
  });

  it('finds bytes that mean something else, that nobody reads, and a file of another name', () => {
    expect(spoil({ json: { userId: 'u2' } })).toEqual(['email/EmailClaimed.v1.json decodes to {}']);
    expect(spoil({ hex: 'ff' })[0]).toMatch(
      /^email\/EmailClaimed.v1.json cannot be read any more: .*not that message/,
    );
    expect(spoil({ type: 'EmailGone' })).toEqual([
      'email/EmailClaimed.v1.json holds email/EmailGone.v1.json',
    ]);
  });
});
