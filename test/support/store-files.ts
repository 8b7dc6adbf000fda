import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** The folder in which a server keeps its streams, as it says. */
export async function storeFolder(monitorUrl: string): Promise<string> {
  const answer = await fetch(`${monitorUrl}/jsz`);
  const { config } = (await answer.json()) as { readonly config: { readonly store_dir: string } };
  return config.store_dir;
}

/** The files below a folder that hold one of these texts, with the texts. */
export async function filesWith(
  folder: string,
  texts: readonly string[],
): Promise<ReadonlyMap<string, string[]>> {
  const found = new Map<string, string[]>();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    // One may be gone by now.
    const bytes = await readFile(path).catch(() => Buffer.alloc(0));
    const here = texts.filter((text) => bytes.includes(text));
    if (here.length > 0) found.set(path.slice(folder.length), here);
  }
  return found;
}
