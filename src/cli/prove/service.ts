import { reasonOf } from '../../eventstore/index.ts';
import type { SearchedFiles } from './files.ts';
import type { Search } from './search.ts';

const ANSWER_MS = 30_000;
const MOST_TRACES = 10_000;

/** Looks through what a running instance shows besides the API: its metrics, and the traces that it keeps in development. */
export async function searchService(url: string, search: Search): Promise<SearchedFiles> {
  const base = url.replace(/\/+$/, '');
  const before = search.bytes;
  const unsearched: string[] = [];
  let count = 0;
  /** The text of an answer; undefined where the instance has none. */
  const ask = async (path: string): Promise<string | undefined> => {
    try {
      const response = await fetch(base + path, { signal: AbortSignal.timeout(ANSWER_MS) });
      const text = await response.text();
      if (response.status === 404) return undefined;
      if (!response.ok) throw new Error(`it answers ${response.status}`);
      search.enter(() => base + path).look(Buffer.from(text));
      count++;
      return text;
    } catch (error) {
      unsearched.push(`${base}${path}: ${reasonOf(error)}`);
      return undefined;
    }
  };
  await ask('/metrics');
  const list = await ask(`/dev/traces.json?limit=${MOST_TRACES}`);
  for (const id of traceIdsIn(list)) await ask(`/dev/traces/${id}.json`);
  const bytes = search.bytes - before;
  return { name: base, unit: 'answers', count, bytes, unsearched, witnessed: 0 };
}

function traceIdsIn(list: string | undefined): readonly string[] {
  if (list === undefined) return [];
  const { traces } = JSON.parse(list) as { readonly traces: readonly { readonly traceId: string }[] };
  return traces.map(({ traceId }) => traceId);
}
