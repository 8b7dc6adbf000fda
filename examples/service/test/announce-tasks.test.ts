import { inTestLedger } from 'jetledger/testing';
import { expect, it } from 'vitest';
import { task } from '../src/domain/task.ts';
import { announceTasks } from '../src/reactions/announce-tasks.ts';
import type { Announcement } from '../src/reactions/reaction-definition.ts';

it('every event is announced, in order, also when a process dies', async () => {
  const told = new Map<string, string>();
  const announce = async ({ id, of, what }: Announcement): Promise<void> => {
    told.set(id, `${of} ${what}`);
  };
  const reactions = (parts: Parameters<typeof announceTasks.create>[1]) => [
    announceTasks.create({ announce }, parts),
  ];
  await inTestLedger({ reactions }, async ({ handler, settled, restart }) => {
    const open = { type: 'open', title: 'Paint', at: 1 } as const;
    await handler.execute(task, 't1', open, { commandId: 'c1', actor: 'test' });
    await settled();
    restart();
    await handler.execute(task, 't1', { type: 'close', at: 2 }, { commandId: 'c2', actor: 'test' });
    await settled();
    expect([...told.values()]).toEqual(['t1 TaskOpened', 't1 TaskClosed']);
  });
});
