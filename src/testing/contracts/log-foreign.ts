import { expect, it } from 'vitest';
import { createHandler } from '../../eventstore/handler.ts';
import type { RecordedCommit } from '../../eventstore/log.ts';
import { positionOf } from '../../eventstore/position.ts';
import { systemRuntime } from '../../eventstore/runtime.ts';
import { appendMany, history, type LogUnderTest, scanAll, versionOf } from './log-support.ts';
import { added, counter, counterRef, toyCommit } from './toy.ts';

const GARBAGE = [Uint8Array.of(0x78), Uint8Array.of(0xff, 0xff, 0xff), new Uint8Array()];

/** What is looked at of each: where, whose id, and how many decisions. */
const seen = (commits: readonly RecordedCommit[]) =>
  commits.map(({ position, commitId, decisions }) => [position, commitId, decisions.length]);

/** What is promised of messages that somebody else has stored on an aggregate's subject (protocol 20). */
export function foreignMessages(under: () => LogUnderTest): void {
  it.each(GARBAGE)(
    'takes %o for a version without events, in histories, scans and by its position',
    async (bytes) => {
      const { log, intrude } = under();
      const stream = counterRef(`foreign-${bytes.length}`);
      const [first = 0] = await appendMany(log, stream, 1);
      const at = await intrude(stream, bytes);
      const last = versionOf(await log.append(stream, at, toyCommit('after', [added(2)])));
      const all = [
        [first, `${stream.id}-1`, 1],
        [at, '', 0],
        [last, 'after', 1],
      ];
      expect(seen(await history(log, stream))).toEqual(all);
      expect(seen(await history(log, stream, first))).toEqual(all.slice(1));
      expect(seen(await history(log, stream, at))).toEqual(all.slice(2));
      expect(seen(await scanAll(log, { after: positionOf(first - 1) }))).toEqual(all);
      expect(
        seen(await scanAll(log, { after: positionOf(first - 1), filter: { category: 'counter' } })),
      ).toEqual(all);
      const found = await log.at(positionOf(at));
      expect(found?.stream).toEqual(stream);
      expect(found?.foreign).toMatchObject({ bytes: bytes.length });
      expect(found?.foreign?.subject).toMatch(new RegExp(`\\.counter\\.\\d\\.\\d\\.\\d\\.${stream.id}$`));
      expect((await log.at(positionOf(last)))?.foreign).toBeUndefined();
    },
  );

  it('refuses an append that does not know of it, as of any version that it does not know', async () => {
    const { log, intrude } = under();
    const stream = counterRef('foreign-conflict');
    const [first = 0] = await appendMany(log, stream, 1);
    const at = await intrude(stream, Uint8Array.of(1));
    const commit = toyCommit('late', [added(1)]);
    expect(await log.append(stream, first, commit)).toEqual({ appended: false, conflict: stream });
    expect((await log.append(stream, at, commit)).appended).toBe(true);
  });

  it('loses nothing between or before foreign messages, wherever a reader stands', async () => {
    const { log, intrude } = under();
    const stream = counterRef('foreign-many');
    const positions: number[] = [];
    for (let round = 0; round < 4; round++) {
      const expected = positions.at(-1) ?? 0;
      positions.push(versionOf(await log.append(stream, expected, toyCommit(`r${round}`, [added(1)]))));
      await appendMany(log, counterRef(`beside-${round}`), 2);
      positions.push(await intrude(stream, Uint8Array.of(round)));
      if (round % 2 === 1) positions.push(await intrude(stream, Uint8Array.of(round)));
    }
    for (const [index, after] of [0, ...positions].entries()) {
      const left = positions.slice(index);
      expect((await history(log, stream, after)).map(({ position }) => position)).toEqual(left);
      const page = await log.read(stream, { after, confirm: false });
      expect(page.commits.map(({ position }) => position)).toEqual(left);
    }
  });

  it('lets commands go on, on an aggregate that it was the first of, too, which it does not bring into being', async () => {
    const { log, openSecond, intrude } = under();
    const stream = counterRef('foreign-first');
    const at = await intrude(stream, Uint8Array.of(0x78));
    const settings = { cacheEntries: 10 };
    const handler = createHandler({ log, runtime: systemRuntime, settings });
    const absent = await handler.load(counter, stream.id);
    expect(absent).toEqual({ state: counter.initial, version: at });
    const meta = (commandId: string) => ({ commandId, actor: 'test' });
    const add = { kind: 'add', by: 2 } as const;
    const none = await handler.execute(counter, stream.id, add, meta('exists'), { expected: 'exists' });
    expect(none.outcome).toBe('conflict');
    const begun = await handler.execute(counter, stream.id, add, meta('first'), { expected: 'none' });
    expect(begun.outcome).toBe('accepted');
    await intrude(stream, Uint8Array.of(0x78));
    const other = createHandler({ log: await openSecond(), runtime: systemRuntime, settings });
    for (const each of [handler, other]) {
      const next = await each.execute(counter, stream.id, add, meta(`next-${each === other}`));
      expect(next.outcome).toBe('accepted');
      await intrude(stream, Uint8Array.of(0x78));
    }
    const again = await other.execute(counter, stream.id, add, meta('first'));
    expect(again).toEqual({ ...begun, repeated: true });
    expect((await handler.load(counter, stream.id)).state).toEqual(
      (await other.load(counter, stream.id)).state,
    );
  });
}
