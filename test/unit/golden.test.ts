import { create, type DescMessage, toJson } from '@bufbuild/protobuf';
import { describe, expect, it } from 'vitest';
import { codecOf } from '../../src/eventstore/codec/event-codec.ts';
import { EventSchema } from '../../src/gen/jetledger/eventstore/v1/commit_pb.ts';
import { type Golden, goldenOfToday, keptGolden, sources } from '../golden/golden.ts';

const kept = keptGolden();
const nameOf = ({ category, type, schemaVersion }: Golden): string => `${category}/${type}.v${schemaVersion}`;

/** What stored bytes are to this version of the service. */
function decoded({ category, type, schemaVersion, hex }: Golden): unknown {
  const decider = sources.find((d) => d.category === category);
  if (decider === undefined) throw new Error(`nobody reads the category ${category}`);
  const data = new Uint8Array(Buffer.from(hex, 'hex'));
  const event = codecOf(decider).decode(create(EventSchema, { type, schemaVersion, data }));
  const schema = decider.events.find((s: DescMessage) => s.typeName === event.$typeName);
  if (schema === undefined) throw new Error(`${event.$typeName} is no event of ${category}`);
  return toJson(schema as DescMessage, event);
}

describe('golden bytes', () => {
  it('exist for every event type and version that the service writes (npm run golden)', () => {
    const names = new Set(kept.map(nameOf));
    expect(
      goldenOfToday()
        .map(nameOf)
        .filter((name) => !names.has(name)),
    ).toEqual([]);
  });

  it('are kept under the name of what they hold', () => {
    for (const golden of kept) expect(golden.file).toBe(`${nameOf(golden)}.json`);
  });

  it.each(kept)('still decode to what they meant: $file', (golden) => {
    expect(decoded(golden)).toEqual(golden.json);
  });

  it('of UserCreated are readable by whoever knows only {user_id = 1; email = 2; created_at = 3}', () => {
    const bytes = '0a02753112056140622e6318808090abea37';
    const golden: Golden = { category: 'user', type: 'UserCreated', schemaVersion: 1, hex: bytes, json: {} };
    expect(decoded(golden)).toEqual({ userId: 'u1', email: 'a@b.c', createdAt: '1918330208256' });
  });
});
