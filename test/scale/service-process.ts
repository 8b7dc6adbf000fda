import { openAll } from './connect.ts';
import { createPerformer } from './perform.ts';
import type { Answer, Question } from './tasks.ts';

// Without a parent there is nobody to measure for.
process.on('disconnect', () => process.exit(1));

try {
  const performer = createPerformer(await openAll(process.argv[2] ?? ''));
  await performer.prepare();
  process.on('message', (question: Question) => {
    answer(performer, question).then(say, (error: unknown) => say({ failed: String(error) }));
  });
  say({ ready: true });
} catch (error) {
  // The parent says what went wrong, and ends this process by letting go of it.
  say({ failed: String(error) });
}

async function answer(performer: ReturnType<typeof createPerformer>, question: Question): Promise<Answer> {
  if ('measure' in question) return { samples: await performer.measure(question.measure) };
  await performer.fill(question.fill);
  return { samples: [] };
}

function say(what: Answer): void {
  process.send?.(what);
}
