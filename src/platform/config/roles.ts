/** The parts of the service. A process has one of them, or several. */
export const ROLES = ['api', 'projections', 'processes'] as const;

/** `api` answers requests, `projections` keeps the read models, `processes` reacts to events. */
export type Role = (typeof ROLES)[number];

/** Some of the roles, separated by commas. */
export const LIST_OF_ROLES = `^ *(${ROLES.join('|')}) *(, *(${ROLES.join('|')}) *)*$`;

/** The roles that a list names, in the order of `ROLES`. @param list as the configuration holds it */
export function rolesOf(list: string): readonly Role[] {
  const named = list.split(',').map((name) => name.trim());
  return ROLES.filter((role) => named.includes(role));
}

/** Whether a process with this configuration has a role. */
export function hasRole({ service }: { readonly service: { readonly roles: string } }, role: Role): boolean {
  return rolesOf(service.roles).includes(role);
}
