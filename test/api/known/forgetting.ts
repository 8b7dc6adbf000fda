import { type Client, registered } from '../requests.ts';

/** Somebody who is to be forgotten. */
export async function known(client: Client, index: number): Promise<{ id: string[] }> {
  const id = await registered(client, `leaving-${index}@example.com`);
  await client.remove(`/v1/users/${id}`);
  return { id: [id] };
}

/** What has to have happened for the examples of the operations. */
export const before = {
  getForgetting: ['createUser', 'forgetUser'],
  callOffForgetting: ['createUser', 'forgetUser'],
};
