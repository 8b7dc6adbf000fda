import { variableFor } from './keys.ts';

/** Keys of earlier versions, and what to do instead. */
const REPLACED: ReadonlyMap<string, string> = new Map(
  ['projections', 'processes'].map((role) => [
    `${role}.enabled`,
    `replaced by service.roles: leave ${role} out of it (${variableFor('service.roles')}, or serve --roles)`,
  ]),
);

/** What to do instead of a key that is no more; undefined for one that never was. */
export function replacementOf(name: string): string | undefined {
  return REPLACED.get(name);
}
