import type { Projection } from 'jetledger';
import type { AnyDecider } from 'jetledger/eventstore';
import { task } from './domain/task.ts';
import type { RouteModule } from './http/route-module.ts';
import { announceTasks } from './reactions/announce-tasks.ts';
import type { ReactionDefinition } from './reactions/reaction-definition.ts';
import { taskRoutes } from './routes/tasks.ts';
import { tasks } from './views/tasks.ts';

// What the service is made of, said once. `jetledger new aggregate|view|reaction NAME` enters the newcomer here.

/** First token of every subject, and first part of the names of buckets: for ever once there are events. */
export const prefix = 'starter';

/** The kinds of aggregates. */
export const aggregates: readonly AnyDecider[] = [task];

/** The read models. */
export const views: readonly Projection[] = [tasks];

/** What reacts to events. */
export const reactions: readonly ReactionDefinition[] = [announceTasks];

/** The HTTP API. */
export const routes: readonly RouteModule[] = [taskRoutes];
