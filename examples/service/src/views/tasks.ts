import type { Projection } from 'jetledger';
import { type TaskEvent, task } from '../domain/task.ts';

/** A task as the API answers it. */
export interface TaskRow {
  readonly id: string;
  readonly title: string;
  readonly status: 'open' | 'closed';
  /** ISO 8601, in UTC. */
  readonly openedAt: string;
}

/** One row for each task, by its id. */
export const tasks: Projection<TaskRow, TaskEvent> = {
  name: 'tasks',
  version: 1,
  sources: [task],
  crossesAggregates: false,
  keyOf: (_event, { stream }) => stream.id,
  evolve: (row, event, { stream }) => {
    if (event.$typeName === 'starter.task.v1.TaskOpened') {
      const openedAt = new Date(Number(event.openedAt)).toISOString();
      return { id: stream.id, title: event.title, status: 'open', openedAt };
    }
    if (row === undefined) return undefined;
    if (event.$typeName === 'starter.task.v1.TaskRenamed') return { ...row, title: event.title };
    return { ...row, status: 'closed' };
  },
};
