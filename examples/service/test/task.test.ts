import { create } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { given } from 'jetledger/testing';
import { deciderProperties } from 'jetledger/testing/properties';
import { describe, it } from 'vitest';
import { type TaskCommand, task } from '../src/domain/task.ts';
import { TaskClosedSchema, TaskOpenedSchema, TaskRenamedSchema } from '../src/gen/starter/task/v1/task_pb.ts';

const opened = create(TaskOpenedSchema, { title: 'Paint', openedAt: 1n });
const renamed = create(TaskRenamedSchema, { title: 'Paint it' });
const closed = create(TaskClosedSchema, { closedAt: 2n });

describe('a task', () => {
  it('is opened once', () => {
    given(task).when({ type: 'open', title: 'Paint', at: 1 }).thenEvents(opened);
    given(task, opened).when({ type: 'open', title: 'Paint', at: 9 }).thenNothing();
    given(task, opened).when({ type: 'open', title: 'Other', at: 9 }).thenRejected('task/exists');
    given(task).when({ type: 'open', title: ' ', at: 1 }).thenRejected('task/no-title');
  });

  it('is renamed while it is open', () => {
    given(task, opened).when({ type: 'rename', title: 'Paint it' }).thenEvents(renamed);
    given(task, opened, renamed).when({ type: 'rename', title: 'Paint it' }).thenNothing();
    given(task, opened, closed).when({ type: 'rename', title: 'Late' }).thenRejected('task/not-open');
  });

  it('is closed once', () => {
    given(task, opened)
      .when({ type: 'close', at: 2 })
      .thenEvents(closed)
      .thenState({ status: 'closed', title: 'Paint' });
    given(task, opened, closed).when({ type: 'close', at: 3 }).thenNothing();
    given(task).when({ type: 'close', at: 3 }).thenRejected('task/not-open');
  });
});

const title = fc.constantFrom('', 'Paint', 'Wash');
const at = fc.constantFrom(1, 2);
const commands: fc.Arbitrary<TaskCommand[]> = fc.array(
  fc.oneof(
    fc.record({ type: fc.constant('open' as const), title, at }),
    fc.record({ type: fc.constant('rename' as const), title }),
    fc.record({ type: fc.constant('close' as const), at }),
  ),
);

describe('for any history', () => {
  it.each(deciderProperties(task, { commands }))('$name', ({ check }) => check());
});
