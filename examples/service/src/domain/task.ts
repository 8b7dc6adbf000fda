import { create } from '@bufbuild/protobuf';
import type { Decider, Rejection } from 'jetledger';
import {
  type TaskClosed,
  TaskClosedSchema,
  type TaskOpened,
  TaskOpenedSchema,
  type TaskRenamed,
  TaskRenamedSchema,
} from '../gen/starter/task/v1/task_pb.ts';

/** Times are milliseconds since the Unix epoch; the caller says them, since a decider knows no clock. */
export type TaskCommand =
  | { readonly type: 'open'; readonly title: string; readonly at: number }
  | { readonly type: 'rename'; readonly title: string }
  | { readonly type: 'close'; readonly at: number };

export interface TaskRejection extends Rejection {
  readonly code: 'task/no-title' | 'task/exists' | 'task/not-open';
}

export type TaskEvent = TaskOpened | TaskRenamed | TaskClosed;

export type TaskState =
  | { readonly status: 'absent' }
  | { readonly status: 'open'; readonly title: string }
  | { readonly status: 'closed'; readonly title: string };

const LONGEST_TITLE = 200;

const no = (code: TaskRejection['code'], message: string): TaskRejection => ({ code, message });

export const task: Decider<TaskState, TaskCommand, TaskEvent, TaskRejection> = {
  category: 'task',
  events: [TaskOpenedSchema, TaskRenamedSchema, TaskClosedSchema],
  initial: { status: 'absent' },
  evolve: (state, event) => {
    switch (event.$typeName) {
      case 'starter.task.v1.TaskOpened':
        return { status: 'open', title: event.title };
      case 'starter.task.v1.TaskRenamed':
        return state.status === 'absent' ? state : { ...state, title: event.title };
      case 'starter.task.v1.TaskClosed':
        return state.status === 'absent' ? state : { ...state, status: 'closed' };
      default:
        return event satisfies never;
    }
  },
  decide: (command, state) => {
    switch (command.type) {
      case 'open':
        return open(command, state);
      case 'rename':
        return rename(command.title, state);
      case 'close':
        if (state.status === 'closed') return [];
        if (state.status === 'absent') return no('task/not-open', 'There is no such task: open it first.');
        return [create(TaskClosedSchema, { closedAt: BigInt(command.at) })];
      default:
        return command satisfies never;
    }
  },
};

type Decision = ReturnType<typeof task.decide>;

function open({ title, at }: { readonly title: string; readonly at: number }, state: TaskState): Decision {
  if (!isTitle(title)) return no('task/no-title', `Give a title of 1 to ${LONGEST_TITLE} characters.`);
  if (state.status === 'open' && state.title === title) return [];
  if (state.status !== 'absent') return no('task/exists', 'There is a task with this id: take another.');
  return [create(TaskOpenedSchema, { title, openedAt: BigInt(at) })];
}

function rename(title: string, state: TaskState): Decision {
  if (!isTitle(title)) return no('task/no-title', `Give a title of 1 to ${LONGEST_TITLE} characters.`);
  if (state.status !== 'open') return no('task/not-open', 'Only an open task can be renamed.');
  return state.title === title ? [] : [create(TaskRenamedSchema, { title })];
}

const isTitle = (title: string): boolean => title.trim() !== '' && title.length <= LONGEST_TITLE;
