import { openAll } from './connect.ts';
import { createPerformer } from './perform.ts';
import type { Answer, Question } from './tasks.ts';

// Without a parent there is nobody to measure for.
process.on('disconnect', () => process.exit(1));

const opened = await openAll(process.argv[2] ?? '');
const performer = createPerformer(opened);
await performer.prepare();

process.on('message', (question: Question) => {
  answer(question).then(say, (error: unknown) => say({ failed: String(error) }));
});
say({ ready: true });

async function answer(question: Question): Promise<Answer> {
  if ('measure' in question) return { samples: await performer.measure(question.measure) };
  await performer.fill(question.fill);
  return { samples: [] };
}

function say(what: Answer): void {
  process.send?.(what);
}
