import { expect, it } from 'vitest';
import { openFrames } from '../../src/api/sealed.ts';
import { sealText } from '../../src/eventstore/personal/cipher.ts';
import { KeysUnavailable, KeyUnreadable } from '../../src/eventstore/personal/keys.ts';
import { createPersonalData } from '../../src/eventstore/personal/personal-data.ts';
import { writeSealed } from '../../src/eventstore/personal/sealed-text.ts';

const KEY = { number: 7, key: new Uint8Array(32).fill(1), until: Number.POSITIVE_INFINITY };

/** A line of an event stream in which a person is named. */
function frameOf(person: string): string {
  const place = {
    category: 'user',
    id: person,
    type: 'UserCreated',
    field: 6,
    within: '',
    person,
    key: KEY.number,
  };
  const name = writeSealed(place, sealText(place, KEY.key, `Name of ${person}`));
  return `id: 1\ndata: ${JSON.stringify({ person, name })}\n\n`;
}

const opened = (frames: string, lost: string, error: Error): Promise<string> => {
  const keysOf = async (persons: readonly string[]) => {
    if (persons.includes(lost)) throw error;
    return new Map(persons.map((person) => [person, KEY] as const));
  };
  return openFrames(createPersonalData({ keys: { keysOf }, encrypt: true }), frames);
};

it('a stream goes on where the key of one person is unreadable, whose event says so, and not while keys are away', async () => {
  const frames = frameOf('ada') + frameOf('eve');
  const shown = ['ada', 'eve'].map(
    (person) => `id: 1\ndata: {"person":"${person}","name":"Name of ${person}"}\n\n`,
  );
  expect(await opened(frames, 'nobody', new Error())).toBe(shown.join(''));
  const unreadable = 'id: 1\ndata: {"person":"eve","name":"","unreadable":true}\n\n';
  expect(await opened(frames, 'eve', new KeyUnreadable('it is gone'))).toBe(shown[0] + unreadable);
  const away = opened(frames, 'eve', new KeysUnavailable('they are away'));
  await expect(away).rejects.toMatchObject({ code: 'keys/unavailable' });
});
