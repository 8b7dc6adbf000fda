import type { FastifyRequest } from 'fastify';
import { EVENTS_V2 } from './schemas.ts';

const PARAMETER = 'events=v2';

/**
 * Whether a client asks for events with types of their own: by the query, since an `EventSource` of a browser sets no
 * headers, else by Accept. Everybody else gets what clients have known first.
 */
export function asksForTypes({ query, headers }: Pick<FastifyRequest, 'query' | 'headers'>): boolean {
  const { events } = query as { events?: 'v1' | 'v2' };
  if (events !== undefined) return events === 'v2';
  return (headers.accept ?? '').split(',').some((range) => {
    const [type, ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
    return (type === EVENTS_V2 || parameters.includes(PARAMETER)) && !parameters.includes('q=0');
  });
}
