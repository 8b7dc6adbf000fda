import type { NatsConnection } from '@nats-io/transport-node';

/**
 * Sends what waits, and closes the connection.
 * @param withinMs how long the server may take to confirm that it has everything; without it the connection is closed
 *   all the same
 * @throws Error when the server did not confirm it
 */
export async function drainAndClose(connection: NatsConnection, withinMs: number): Promise<void> {
  if (connection.isClosed()) return;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const fail = () => reject(new Error(`the server did not confirm within ${withinMs} ms`));
    timer = setTimeout(fail, withinMs);
  });
  try {
    await Promise.race([connection.drain(), late]);
  } finally {
    clearTimeout(timer);
    await connection.close();
  }
}
