import { reasonOf } from '../../eventstore/index.ts';
import type { SearchedFiles } from './files.ts';
import type { Search } from './search.ts';

const ANSWER_MS = 30_000;
const MOST_TRACES = 10_000;

/** Looks through what a running instance shows besides the API: its metrics, and the traces that it keeps. @param token of an admin; empty where none is asked for */
export async function searchService(url: string, token: string, search: Search): Promise<SearchedFiles> {
  const base = url.replace(/\/+$/, '');
  const before = search.bytes;
  const unsearched: string[] = [];
  const headers: Record<string, string> = token === '' ? {} : { authorization: `Bearer ${token}` };
  let count = 0;
  /** The text of an answer; undefined where the instance has none. */
  const ask = async (path: string): Promise<string | undefined> => {
    try {
      const response = await fetch(base + path, { headers, signal: AbortSignal.timeout(ANSWER_MS) });
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
  const list = await ask(`/v1/admin/traces?limit=${MOST_TRACES}`);
  for (const id of traceIdsIn(list)) await ask(`/v1/admin/traces/${id}`);
  const bytes = search.bytes - before;
  return { name: base, unit: 'answers', count, bytes, unsearched, witnessed: 0 };
}

function traceIdsIn(list: string | undefined): readonly string[] {
  if (list === undefined) return [];
  const { items } = JSON.parse(list) as { readonly items: readonly { readonly traceId: string }[] };
  return items.map(({ traceId }) => traceId);
}
