import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { madeOf } from './made-once.ts';

const THREAD = fileURLToPath(new URL('../../src/projections/engine/lists/index-thread.ts', import.meta.url));
/** The module that starts the thread, from the file beside its own. */
const STARTER = /\/src\/projections\/engine\/lists\/sqlite-indexes\.ts$/;

/**
 * Has tests start the thread of the lists as plain JavaScript, as users do: a loader in each thread took three times
 * what the thread itself takes. A plugin of Vite.
 */
export function plainIndexThread(): {
  name: string;
  transform(code: string, id: string): Promise<string | undefined>;
} {
  let made: Promise<string> | undefined;
  return {
    name: 'plain-index-thread',
    transform: async (code, id) => {
      if (!STARTER.test(id)) return undefined;
      made ??= threadFolder();
      const url = pathToFileURL(join(await made, 'sqlite-indexes.js')).href;
      return code.replaceAll('import.meta.url', JSON.stringify(url));
    },
  };
}

async function threadFolder(): Promise<string> {
  const { rolldown } = await import('rolldown');
  const bundle = await rolldown({ input: THREAD, platform: 'node', external: /^[^./]/ });
  const { output } = await bundle.generate();
  await bundle.close();
  const [{ code }] = output;
  return madeOf(['index-thread', code], async (draft) => {
    await writeFile(join(draft, 'index-thread.js'), code);
    await writeFile(join(draft, 'package.json'), '{ "type": "module" }');
  });
}
