import { task } from '../domain/task.ts';
import type { ReactionDefinition } from './reaction-definition.ts';

const name = 'announce-tasks';

/** Announces every event of tasks: each at least once, and in order for each task. */
export const announceTasks: ReactionDefinition = {
  name,
  create: ({ announce }) => ({
    name,
    sources: [task],
    from: 'beginning',
    handle: async ({ stream: { category, id: of }, events }) => {
      for (const { id, event } of events) {
        const what = event.$typeName.slice(event.$typeName.lastIndexOf('.') + 1);
        await announce({ id, category, of, what });
      }
    },
  }),
};
