import { create } from '@bufbuild/protobuf';
import { givenCommits } from 'jetledger/testing';
import { it } from 'vitest';
import { TaskClosedSchema, TaskOpenedSchema } from '../src/gen/starter/task/v1/task_pb.ts';
import { tasks } from '../src/views/tasks.ts';

const stream = { category: 'task', id: 't1' };
const opened = create(TaskOpenedSchema, { title: 'Paint', openedAt: 0n });
const closed = create(TaskClosedSchema, { closedAt: 2n });
const row = { id: 't1', title: 'Paint', openedAt: '1970-01-01T00:00:00.000Z' };

it('a task is a row, which says whether it is closed', () => {
  givenCommits(tasks, { stream, events: [opened] }).thenRow('t1', { ...row, status: 'open' });
  givenCommits(tasks, { stream, events: [opened, closed] }).thenRow('t1', { ...row, status: 'closed' });
  givenCommits(tasks, { stream, events: [closed] }).thenNoRow('t1');
});
