import type { Change } from '../../api/operators/ports.ts';

/** More than these are told as one change of the whole. */
const MOST = 500;

/** What differs between two values of JSON, by path, in the order of the paths. Lists are compared place by place. */
export function changesBetween(before: unknown, after: unknown): readonly Change[] {
  const changes: Change[] = [];
  compare('', before, after, changes);
  return changes;
}

function compare(path: string, before: unknown, after: unknown, into: Change[]): void {
  if (into.length >= MOST || Object.is(before, after)) return;
  if (isPlain(before) && isPlain(after)) {
    const names = new Set([...Object.keys(before), ...Object.keys(after)]);
    for (const name of [...names].sort()) {
      const inner = path === '' ? name : `${path}.${name}`;
      compare(inner, Reflect.get(before, name), Reflect.get(after, name), into);
    }
    return;
  }
  if (JSON.stringify(before) === JSON.stringify(after)) return;
  into.push({ path, ...(before !== undefined && { before }), ...(after !== undefined && { after }) });
}

function isPlain(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
