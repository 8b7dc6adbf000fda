import type { Client } from '../requests.ts';

/** A request of an operator. */
export async function known(client: Client): Promise<{ id: string[] }> {
  const { id } = (await client.post('/v1/admin/views/orders/rebuild', { reason: 'wrong totals' })).json<{
    id: string;
  }>();
  return { id: [id] };
}
