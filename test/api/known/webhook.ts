import type { Client } from '../requests.ts';

/** A webhook that is sent everything. */
export async function known(client: Client, index: number): Promise<{ id: string[] }> {
  const body = { url: `https://fuzz-${index}.example.com/`, types: ['*'] };
  const { id } = (await client.post('/v1/webhooks', body)).json<{ id: string }>();
  return { id: [id] };
}

/** What has to have happened for the examples of the operations. */
export const before = { createWebhook: [], webhooks: ['createWebhook'] };
